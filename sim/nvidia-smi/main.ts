/** A stand-in for nvidia-smi on a host without a GPU. It says on stderr that it is one. Settings come by variables, because the arguments are the real ones. */
import { appLines, headerLine, listLines, type Question, readQuestion, refusedAppField, refusedField, rowLine } from './answer.ts'
import { type Round, SCENES } from './scenes.ts'
import { openStage, type Stage } from './stage.ts'
import { xmlText } from './xml.ts'

const EXIT_INVALID_ARGUMENT = 2
/** A hanging driver's program does not even end when asked to. */
const HANG_CHECK_MS = 60_000

export async function main(argv: readonly string[]): Promise<void> {
  if (argv.includes('--help') || argv.includes('-h')) return void process.stdout.write(help())
  const stage = openStage(process.env, Date.now)
  process.stderr.write(`nvidia-smi: simulated, showing "${stage.name}"; uuids are made up\n`)
  // Whoever started this is gone: there is nobody left to tell.
  process.stdout.on('error', () => process.exit(0))
  const question = readQuestion(argv)
  switch (question.kind) {
    case 'unclear':
      return end(question.words, EXIT_INVALID_ARGUMENT)
    case 'query':
      return tellRows(stage, question)
    default:
      return tellOnce(stage, question)
  }
}

function tellOnce(stage: Stage, question: Extract<Question, { kind: 'xml' | 'list' | 'apps' }>): void {
  const { scene, round } = stage.next()
  if (round.kind === 'hang') return hang()
  if (round.kind === 'fails') return end(round.words, round.exitCode)
  const { before, gpus } = round
  switch (question.kind) {
    case 'xml':
      print([...before, xmlText(gpus, scene)])
      break
    case 'list':
      print([...before, ...listLines(gpus, scene.instances)])
      break
    case 'apps': {
      const refused = refusedAppField(question.fields)
      if (refused !== undefined) return end(`Field "${refused}" is not a valid field to query.\n`, EXIT_INVALID_ARGUMENT)
      print([...before, ...appLines(question.fields, stage.apps(scene), gpus, question)])
      break
    }
    default:
      return question satisfies never
  }
  if (round.end !== undefined) end(round.end.words, round.end.exitCode)
}

function tellRows(stage: Stage, { fields, header, units, periodMs }: Extract<Question, { kind: 'query' }>): void {
  let timer: NodeJS.Timeout | undefined
  /** False when it was the last. */
  const tell = (round: Round): boolean => {
    if (round.kind === 'hang') hang()
    else if (round.kind === 'fails') end(round.words, round.exitCode)
    else {
      print([...round.before, ...round.gpus.map((gpu) => rowLine(fields, gpu, units, timestamp()))])
      if (round.end === undefined) return true
      end(round.end.words, round.end.exitCode)
    }
    return false
  }
  const { scene, round } = stage.next()
  const refused = round.kind === 'fails' ? undefined : refusedField(fields, scene)
  if (refused !== undefined) return end(`Field "${refused}" is not a valid field to query.\n`, EXIT_INVALID_ARGUMENT)
  if (header && round.kind !== 'fails') print([headerLine(fields, scene.titles)])
  if (!tell(round) || periodMs === undefined) return
  timer = setInterval(() => {
    if (!tell(stage.next().round)) clearInterval(timer)
  }, periodMs)
}

const print = (lines: readonly string[]): void => void process.stdout.write(`${lines.join('\n')}\n`)

function end(words: string, exitCode: number): void {
  print([words])
  process.exitCode = exitCode
}

function hang(): void {
  process.on('SIGTERM', () => {})
  setInterval(() => {}, HANG_CHECK_MS)
}

/** As nvidia-smi writes it: 2026/07/14 08:12:53.353 */
const timestamp = (): string => new Date().toISOString().replace('T', ' ').replaceAll('-', '/').slice(0, 23)

const help =
  (): string => `A simulated nvidia-smi: answers --query-gpu=… or --query-compute-apps=… --format=csv[,noheader][,nounits], -q -x and -L; GPUs also in a loop
by -l S or -lms MS.

  MILLRACE_SIM_CAPTURE     what it shows: ${SCENES.join(', ')} (default: h100)
  MILLRACE_SIM_SCENE_FILE  a file that holds one of these names, read each round: what is written there while it runs is shown from then on
  MILLRACE_SIM_APPS_FILE   a file of the processes on the GPUs, a line each: index of the GPU, pid, MiB, name (default: those of the capture)
  MILLRACE_SIM_GPU_SEED    the made-up uuids follow from it: give each simulated host its own

Example:
  MILLRACE_SIM_CAPTURE=h100x8 millrace sim-nvidia-smi --query-gpu=index,uuid,utilization.gpu --format=csv
`
