/** A stand-in for nvidia-smi on a host without a GPU. It says on stderr that it is one. Settings come by variables, because the arguments are the real ones. */
import { UsageError } from '../../core/edge/settings.ts'
import { headerLine, listLine, type Question, readQuestion, refusedField, rowLine } from './answer.ts'
import { findScene, SCENES, type Scene } from './scenes.ts'

const EXIT_INVALID_ARGUMENT = 2
/** A hanging driver's program does not even end when asked to. */
const HANG_CHECK_MS = 60_000

export async function main(argv: readonly string[]): Promise<void> {
  if (argv.includes('--help') || argv.includes('-h')) return void process.stdout.write(help())
  const name = process.env.MILLRACE_SIM_CAPTURE ?? 'h100'
  const seed = process.env.MILLRACE_SIM_GPU_SEED ?? 'simulated'
  const scene = findScene(name, seed)
  if (scene === undefined) throw new UsageError(`MILLRACE_SIM_CAPTURE "${name}" is none of ${SCENES.join(', ')}`)
  process.stderr.write(`nvidia-smi: simulated, showing "${name}"; uuids are made up\n`)
  // Whoever started this is gone: there is nobody left to tell.
  process.stdout.on('error', () => process.exit(0))
  process.exitCode = tell(scene, readQuestion(argv))
}

/** The exit code of a run that ends by itself. */
function tell(scene: Scene, question: Question): number {
  if (question.kind === 'unclear') return print(question.words, EXIT_INVALID_ARGUMENT)
  if (scene.kind === 'fails') return print(scene.words, scene.exitCode)
  if (question.kind === 'list') {
    const round = scene.round(0)
    return print(round.kind === 'rows' ? round.gpus.map(listLine).join('\n') : '', 0)
  }
  const refused = refusedField(question.fields, scene)
  if (refused !== undefined) return print(`Field "${refused}" is not a valid field to query.\n`, EXIT_INVALID_ARGUMENT)
  if (question.header) print(headerLine(question.fields, scene.titles), 0)
  let at = 0
  const round = (): void => {
    const now = scene.round(at++)
    if (now.kind === 'hang') {
      clearInterval(timer)
      process.on('SIGTERM', () => {})
      setInterval(() => {}, HANG_CHECK_MS)
    } else print([...now.before, ...now.gpus.map((gpu) => rowLine(question.fields, gpu, question.units, timestamp()))].join('\n'), 0)
  }
  const timer = question.periodMs === undefined ? undefined : setInterval(round, question.periodMs)
  round()
  return 0
}

function print(words: string, exitCode: number): number {
  process.stdout.write(`${words}\n`)
  return exitCode
}

/** As nvidia-smi writes it: 2026/07/14 08:12:53.353 */
const timestamp = (): string => new Date().toISOString().replace('T', ' ').replaceAll('-', '/').slice(0, 23)

const help = (): string => `A simulated nvidia-smi: answers --query-gpu=… --format=csv[,noheader][,nounits] [-l S | -lms MS] and -L.

  MILLRACE_SIM_CAPTURE   what it shows: ${SCENES.join(', ')} (default: h100)
  MILLRACE_SIM_GPU_SEED  the made-up uuids follow from it: give each simulated host its own

Example:
  MILLRACE_SIM_CAPTURE=h100x8 millrace sim-nvidia-smi --query-gpu=index,uuid,utilization.gpu --format=csv
`
