/** Deadlines by the thousand: a timer costs two links in a list, and one tick of the wheel serves all. Coarse by its grain, never early. */
import { type Millis, millis } from '../../core/units.ts'

export const WHEEL_GRAIN = millis(20)
const BUCKETS = 2048

export type Timer = { at: Millis; readonly onDue: () => void; previous: Timer | undefined; next: Timer | undefined; bucket: number }

export class TimerWheel {
  #size = 0
  #tick: number
  readonly #buckets: (Timer | undefined)[] = new Array(BUCKETS).fill(undefined)

  constructor(now: Millis) {
    this.#tick = Math.floor(now / WHEEL_GRAIN)
  }

  get size(): number {
    return this.#size
  }

  schedule(at: Millis, onDue: () => void): Timer {
    const tick = Math.max(Math.ceil(at / WHEEL_GRAIN), this.#tick + 1)
    const bucket = tick % BUCKETS
    const next = this.#buckets[bucket]
    const timer: Timer = { at, onDue, previous: undefined, next, bucket }
    if (next !== undefined) next.previous = timer
    this.#buckets[bucket] = timer
    this.#size++
    return timer
  }

  cancel(timer: Timer): void {
    if (timer.bucket < 0) return
    if (timer.previous === undefined) this.#buckets[timer.bucket] = timer.next
    else timer.previous.next = timer.next
    if (timer.next !== undefined) timer.next.previous = timer.previous
    // A dead timer that still points at live ones would keep each generation of them from being collected young.
    timer.previous = undefined
    timer.next = undefined
    timer.bucket = -1
    this.#size--
  }

  /** Fires what is due. A timer beyond the wheel's round waits in its bucket for the next one. */
  advance(now: Millis): void {
    const until = Math.floor(now / WHEEL_GRAIN)
    const first = Math.max(this.#tick + 1, until - BUCKETS + 1)
    this.#tick = Math.max(until, this.#tick)
    const due: Timer[] = []
    for (let tick = first; tick <= until; tick++)
      for (let timer = this.#buckets[tick % BUCKETS]; timer !== undefined; timer = timer.next) if (timer.at <= now) due.push(timer)
    for (const timer of due)
      if (timer.bucket >= 0) {
        this.cancel(timer)
        timer.onDue()
      }
  }
}
