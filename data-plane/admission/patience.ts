/**
 * How long an attempt may take before another endpoint is asked, where a model's row says so. Nothing limits an attempt that has no such row: a cap of
 * the proxy's own would cut long work. Traffic costs one counter; the clock is looked at a few times per limit, so silence is noticed a little late, never early.
 */
import type { Timeouts } from '../../core/mesh-snapshot.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { Timer, TimerWheel } from './timer-wheel.ts'

export type Impatience = 'per-try' | 'first-byte' | 'idle'

export const IMPATIENCE_WORDS: Readonly<Record<Impatience, string>> = {
  'per-try': 'the server did not finish within the time for one attempt',
  'first-byte': 'the server sent no first message in time',
  idle: 'nothing moved in either direction for too long',
}

/** What is watched: it answers for one attempt, from its start to its end. */
export type Watched = {
  /** The first byte of the answer's first message has come. */
  readonly answerBegan: boolean
  /** Changes whenever something moves in either direction. */
  readonly activity: number
}

export type Progress = { readonly startedAt: Millis; readonly answerBegan: boolean; readonly quietSince: Millis }

/** Looks per idle limit: silence is noticed at most a quarter of it late. */
const LOOKS = 4

/** Whether patience is over, or when to look again; undefined when nothing can expire any more. */
export function judgeProgress(
  timeouts: Timeouts,
  { startedAt, answerBegan, quietSince }: Progress,
  now: Millis,
): Impatience | Millis | undefined {
  let next = Number.POSITIVE_INFINITY
  if (timeouts.perTryMs !== undefined) {
    if (now - startedAt >= timeouts.perTryMs) return 'per-try'
    next = startedAt + timeouts.perTryMs
  }
  if (timeouts.firstByteMs !== undefined && !answerBegan) {
    if (now - startedAt >= timeouts.firstByteMs) return 'first-byte'
    next = Math.min(next, startedAt + timeouts.firstByteMs)
  }
  if (timeouts.idleMs !== undefined) {
    if (now - quietSince >= timeouts.idleMs) return 'idle'
    next = Math.min(next, quietSince + timeouts.idleMs, now + timeouts.idleMs / LOOKS)
  }
  return next === Number.POSITIVE_INFINITY ? undefined : millis(next)
}

/** One attempt under watch. Whoever starts it cancels it when the attempt ends. */
export class Patience {
  readonly #wheel: TimerWheel
  readonly #now: () => Millis
  readonly #timeouts: Timeouts
  readonly #watched: Watched
  readonly #onOver: (what: Impatience) => void
  readonly #startedAt: Millis
  #quietSince: Millis
  #activity: number
  #timer: Timer | undefined

  constructor(wheel: TimerWheel, now: () => Millis, timeouts: Timeouts, watched: Watched, onOver: (what: Impatience) => void) {
    this.#wheel = wheel
    this.#now = now
    this.#timeouts = timeouts
    this.#watched = watched
    this.#onOver = onOver
    this.#startedAt = now()
    this.#quietSince = this.#startedAt
    this.#activity = watched.activity
    this.#look()
  }

  cancel(): void {
    if (this.#timer !== undefined) this.#wheel.cancel(this.#timer)
    this.#timer = undefined
  }

  readonly #look = (): void => {
    const now = this.#now()
    const { activity, answerBegan } = this.#watched
    if (activity !== this.#activity) {
      this.#activity = activity
      this.#quietSince = now
    }
    const verdict = judgeProgress(this.#timeouts, { startedAt: this.#startedAt, answerBegan, quietSince: this.#quietSince }, now)
    this.#timer = undefined
    if (typeof verdict === 'string') this.#onOver(verdict)
    else if (verdict !== undefined) this.#timer = this.#wheel.schedule(verdict, this.#look)
  }
}
