/** What is usual for a model, learnt from its requests: what is not known yet is absent, and nobody is refused for it. */
import { type Millis, millis } from '../../core/units.ts'

const MEAN_STEP = 0.1

export class Mean {
  value: number | undefined

  add(sample: number): void {
    this.value = this.value === undefined ? sample : this.value + MEAN_STEP * (sample - this.value)
  }
}

const SPAN_MS = 10_000

/** The least of the last one to two spans: what was not seen for longer is not held against anybody. */
export class RecentLeast {
  #since = 0
  #least = Number.POSITIVE_INFINITY
  #before = Number.POSITIVE_INFINITY

  add(sample: Millis, now: Millis): void {
    this.#shift(now)
    if (sample < this.#least) this.#least = sample
  }

  read(now: Millis): Millis | undefined {
    this.#shift(now)
    const least = Math.min(this.#least, this.#before)
    return least === Number.POSITIVE_INFINITY ? undefined : millis(least)
  }

  #shift(now: Millis): void {
    const spans = Math.floor((now - this.#since) / SPAN_MS)
    if (spans <= 0) return
    this.#before = spans === 1 ? this.#least : Number.POSITIVE_INFINITY
    this.#least = Number.POSITIVE_INFINITY
    this.#since += spans * SPAN_MS
  }
}

export class Estimates {
  /** From an attempt's start to its end. */
  readonly hold = new Mean()
  /** Of a request, and of it what was not known when it came. */
  readonly work = new Mean()
  readonly rest = new Mean()
  readonly firstByte = new Mean()
  readonly quickest = new RecentLeast()

  /** Until `before` work and one more request have been begun, with so many at once. */
  waitFor(before: number, atOnce: number): Millis | undefined {
    const { value: hold } = this.hold
    const { value: work } = this.work
    if (hold === undefined || work === undefined || atOnce <= 0) return undefined
    return millis(((before / Math.max(work, 1) + 1) * hold) / atOnce)
  }
}
