/**
 * A quantile of times that come one by one, in memory that does not grow: counts in buckets, each 8 % wider than the one before, so an answer is at most that
 * far off. Old times count for less and less: at each thousandth all counts are halved. Unknown until enough were seen.
 */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'

const GROWTH = Math.log(1.08)
/** Up to an hour; what is below a millisecond is in the first. */
const BUCKETS = 1 + Math.ceil(Math.log(3_600_000) / GROWTH)
const HALVE_AT = 2_000
/** A quantile is looked for once in so many times. */
const FRESH_FOR = 32

export class LatencyQuantile {
  readonly #quantile: number
  readonly #counts = new Float64Array(BUCKETS)
  #total = 0
  #seen = 0
  #known: Millis | undefined
  #knownUntil = 0

  constructor(quantile: number) {
    this.#quantile = quantile
  }

  record(ms: Millis): void {
    const bucket = ms <= 1 ? 0 : Math.min(BUCKETS - 1, Math.ceil(Math.log(ms) / GROWTH))
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1
    this.#total++
    this.#seen++
    if (this.#total < HALVE_AT) return
    for (let at = 0; at < BUCKETS; at++) this.#counts[at] = (this.#counts[at] as number) / 2
    this.#total /= 2
  }

  read(): Millis | undefined {
    if (this.#seen < limits.hedgeSamplesMin) return undefined
    if (this.#seen >= this.#knownUntil) {
      this.#knownUntil = this.#seen + FRESH_FOR
      this.#known = this.#find()
    }
    return this.#known
  }

  /** The upper end of the bucket in which it lies. */
  #find(): Millis {
    let below = this.#total * this.#quantile
    let at = 0
    for (; at < BUCKETS - 1; at++) {
      below -= this.#counts[at] as number
      if (below <= 0) break
    }
    return millis(Math.exp(at * GROWTH))
  }
}
