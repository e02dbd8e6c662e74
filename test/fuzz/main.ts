/** `npm run fuzz`: plays random cases for as long as it is told, shows how far it is, and writes what fails as a small case that can be replayed. */
import { readFileSync, writeFileSync } from 'node:fs'
import { Command, InvalidArgumentError, Option } from 'commander'
import { campaign, type Failure, type Progress } from './campaign.ts'
import { type Case, newCounts, play, type Target } from './target.ts'
import { TARGETS } from './targets.ts'

const SHOW_EVERY_MS = 5_000
const MINUTES = 5

type Options = {
  readonly target: string
  readonly seed: number
  readonly frames: number
  readonly minutes: number | undefined
  readonly replay: string | undefined
  readonly out: string
}

const say = (line: string): void => void process.stdout.write(`${line}\n`)

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('wants a whole number.')
  return Number(text)
}

function decimal(text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text)) throw new InvalidArgumentError('wants a number.')
  return Number(text)
}

function readOptions(argv: readonly string[]): Options {
  const command = new Command('npm run fuzz --')
    .description('Plays random cases against the engine, the relay and their neighbours. The same seed gives the same cases.')
    .addOption(new Option('--target <name>', 'what is fuzzed').choices(['all', ...TARGETS.map((one) => one.name)]).default('all'))
    .option('--seed <n>', 'of the first case; the next has the next', wholeNumber, 1)
    .option('--frames <n>', 'stops each target after so many frames', wholeNumber, Number.POSITIVE_INFINITY)
    .option('--minutes <n>', `stops each target after so long (default: ${MINUTES}, or no bound where --frames is given)`, decimal)
    .option('--replay <file>', 'plays one case that failed')
    .option('--out <file>', 'where a case that fails is written', 'fuzz-failure.json')
    .addHelpText('after', `\nTargets:\n${TARGETS.map((one) => `  ${one.name.padEnd(12)} ${one.about}`).join('\n')}\n`)
    .addHelpText(
      'after',
      '\nExample:\n  npm run fuzz -- --target engine --seed 7 --frames 1000000\n  npm run fuzz -- --replay fuzz-failure.json\n',
    )
    .allowExcessArguments(false)
  return command.parse(argv, { from: 'user' }).opts()
}

const heapMiB = (): number => {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed / 2 ** 20
}

function show(target: Target, progress: Progress, startedAt: number): void {
  const seconds = (performance.now() - startedAt) / 1_000
  const { cases, frames, streams, bytes, violations, seed } = progress
  const told = [
    `${target.name.padEnd(12)} ${cases} cases, ${frames} frames (${Math.round(frames / Math.max(seconds, 1e-3))}/s)`,
    `${streams} streams, ${Math.round(bytes / 2 ** 20)} MiB, ${violations} breaches answered`,
    `next seed ${seed}, ${seconds.toFixed(1)} s, heap ${heapMiB().toFixed(1)} MiB`,
  ]
  say(told.join('; '))
}

function report({ found, small, error, smallError }: Failure, out: string): void {
  writeFileSync(out, `${JSON.stringify({ ...small, error: smallError.message })}\n`)
  say(`FAILED ${found.target}, seed ${found.seed}, ${found.steps.length} steps: ${error.message}`)
  say(`shrunk to ${small.steps.length} steps: ${smallError.stack ?? smallError.message}`)
  say(small.steps.map(([move, salt]) => `  ${move} ${salt}`).join('\n'))
  say(`written to ${out}; play it again: npm run fuzz -- --replay ${out}`)
}

async function replay(path: string): Promise<boolean> {
  const found = JSON.parse(readFileSync(path, 'utf8')) as Case
  const target = TARGETS.find((one) => one.name === found.target)
  if (target === undefined) throw new Error(`${path}: no target ${JSON.stringify(found.target)}`)
  const error = await play(target, found, newCounts())
  say(error === undefined ? `${path}: holds` : `${path}: ${error.stack ?? error.message}`)
  return error === undefined
}

async function fuzz(target: Target, options: Options): Promise<boolean> {
  const startedAt = performance.now()
  const minutes = options.minutes ?? (Number.isFinite(options.frames) ? Number.POSITIVE_INFINITY : MINUTES)
  let shownAt = startedAt
  const onProgress = (progress: Progress): void => {
    if (performance.now() - shownAt < SHOW_EVERY_MS) return
    shownAt = performance.now()
    show(target, progress, startedAt)
  }
  const bounds = { seed: options.seed, frames: options.frames, cases: Number.POSITIVE_INFINITY, until: startedAt + minutes * 60_000 }
  const { progress, failure } = await campaign(target, bounds, () => performance.now(), onProgress)
  show(target, progress, startedAt)
  if (failure !== undefined) report(failure, options.out)
  return failure === undefined
}

const options = readOptions(process.argv.slice(2))
let holds = true
if (options.replay !== undefined) holds = await replay(options.replay)
else
  for (const target of TARGETS) {
    if (options.target !== 'all' && options.target !== target.name) continue
    holds = (await fuzz(target, options)) && holds
  }
process.exitCode = holds ? 0 : 1
