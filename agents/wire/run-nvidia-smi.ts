/**
 * Runs nvidia-smi as one child that keeps telling, feeds its lines to the watch, and starts and ends it as the watch says. Beside it, now and then, a
 * single question for what the lines do not tell.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/edge/log.ts'
import { limits } from '../../core/limits.ts'
import { detailsDue, NEVER_ASKED, statesOf } from '../gpu/details-schedule.ts'
import { queryArguments } from '../gpu/query.ts'
import { FRESH_WATCH, gpusOf, rowsCome, type SmiEvent, shouldEnd, shouldStart, stepWatch, telemetryOf } from '../gpu/smi-watch.ts'
import type { Ports } from '../sample-loop.ts'
import { askComputeApps, type ComputeApps } from './ask-compute-apps.ts'
import { askDetails } from './ask-details.ts'
import { smiAsker } from './ask-nvidia-smi.ts'
import type { Beat } from './beat.ts'
import { splitLines } from './split-lines.ts'

export type SmiRunner = {
  readonly gpus: Ports['gpus']
  computeApps(): Promise<ComputeApps>
  close(): Promise<void>
}

export type SmiRunnerOptions = {
  /** A name on PATH, or a path. */
  readonly program: string
  readonly clock: Clock
  readonly beat: Beat
  readonly log: Logger
  /** The telemetry as a whole, or a GPU, changed its state. */
  readonly onChange: () => void
  readonly onStart: () => void
  /** A single question came to its end. */
  readonly onAnswer: (question: 'details' | 'compute-apps', answered: boolean) => void
}

const STOP_PATIENCE_MS = 1_000

export function runNvidiaSmi(options: SmiRunnerOptions): SmiRunner {
  const { program, clock, beat, log } = options
  let watch = FRESH_WATCH
  let child: ChildProcess | undefined
  let killed = false
  let closing = false
  let gpus = gpusOf(watch)
  let states = ''
  let schedule = NEVER_ASKED
  let asking = false
  /** The last question was: what stays unanswered is said once. */
  let answered = true
  const mayAsk = (): boolean => rowsCome(watch, clock.now())
  const asker = smiAsker({ program, mayAsk })

  const take = (event: SmiEvent): void => {
    const before = watch.telemetry
    watch = stepWatch(watch, event, clock.now())
    if (watch.telemetry.state !== before.state)
      log.info({ state: watch.telemetry.state, reason: telemetryOf(watch).gpuTelemetryReason }, 'gpu-telemetry.state')
  }
  const conclude = (): void => {
    gpus = gpusOf(watch)
    const next = `${watch.telemetry.state} ${gpus.map((gpu) => `${gpu.uuid}=${gpu.state}`)}`
    if (next === states) return
    states = next
    if (!closing) options.onChange()
  }
  const step = (event: SmiEvent): void => {
    const before = watch
    take(event)
    if (watch !== before) conclude()
  }

  const start = (): void => {
    let lastWords = ''
    const onLine = (text: string): void => {
      lastWords = text.trim().slice(0, 200)
      take({ kind: 'line', text })
    }
    killed = false
    const started = spawn(program, queryArguments(watch.query, limits.samplePeriod), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C' },
    })
    child = started
    step({ kind: 'started' })
    options.onStart()
    // The rows of all GPUs come at once: what they amount to is looked at once.
    splitLines(started.stdout, onLine, conclude)
    splitLines(started.stderr, onLine, conclude)
    started.once('error', (error: NodeJS.ErrnoException) => {
      if (started.pid !== undefined) return
      child = undefined
      step(error.code === 'ENOENT' ? { kind: 'not-found', program } : { kind: 'exited', detail: `${program}: ${error.message}` })
    })
    started.once('close', (code, signal) => {
      if (child !== started) return
      child = undefined
      step({
        kind: 'exited',
        detail: `${code === null ? signal : `code ${code}`}${lastWords === '' ? '' : `, its last words: ${lastWords}`}`,
      })
    })
  }

  const askForDetails = async (): Promise<void> => {
    const askedAt = clock.now()
    schedule = { askedAt, states: statesOf(watch.table.gpus.values()) }
    asking = true
    const answer = await askDetails(asker)
    asking = false
    if (closing) return
    options.onAnswer('details', answer.kind === 'details')
    if (answer.kind === 'details') step({ kind: 'details', details: answer.details, askedAt })
    else if (answered) log.warn({ reason: answer.reason }, 'gpu-details.unknown')
    answered = answer.kind === 'details'
  }

  const turn = (): void => {
    step({ kind: 'tick' })
    if (!asking && detailsDue(schedule, mayAsk(), statesOf(watch.table.gpus.values()), clock.now())) void askForDetails()
    if (child === undefined && shouldStart(watch, clock.now())) start()
    // One that hangs in the driver does not die of it, and then no other is started: it would hang too.
    if (child !== undefined && shouldEnd(watch) && !killed) {
      killed = true
      child.kill('SIGKILL')
    }
  }
  turn()
  const leave = beat.atSamples(turn)
  return {
    gpus: () => ({ gpus, ...telemetryOf(watch) }),
    async computeApps() {
      const answer = await askComputeApps(asker)
      options.onAnswer('compute-apps', answer.kind === 'apps')
      return answer
    },
    async close() {
      closing = true
      leave()
      await asker.close()
      const last = child
      if (last === undefined) return
      await new Promise<void>((resolve) => {
        const impatience = setTimeout(resolve, STOP_PATIENCE_MS)
        last.once('close', () => {
          clearTimeout(impatience)
          resolve()
        })
        last.kill('SIGTERM')
      })
      last.kill('SIGKILL')
    },
  }
}
