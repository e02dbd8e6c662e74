/** A quantile of the last values seen. Its answer is at most `EVERY` values old: to sort them each time would cost more than it tells. */
/** Prequal's: what lies above it is hot. */
export const HOT_QUANTILE = 2 ** -0.25

const KEPT = 64
const EVERY = 64

export class RecentQuantile {
  readonly #share: number
  readonly #values = new Float64Array(KEPT)
  readonly #sorted = new Float64Array(KEPT)
  #seen = 0
  #answer = Number.POSITIVE_INFINITY

  /** `share` of the values lie at the quantile or below it. */
  constructor(share: number) {
    this.#share = share
  }

  note(value: number): void {
    this.#values[this.#seen % KEPT] = value
    this.#seen++
    if (this.#seen % EVERY === 0) this.#measure()
  }

  /** Above every value until there are enough. */
  get value(): number {
    return this.#answer
  }

  #measure(): void {
    const count = Math.min(this.#seen, KEPT)
    const sorted = this.#sorted.subarray(0, count)
    sorted.set(this.#values.subarray(0, count))
    sorted.sort()
    this.#answer = sorted[Math.max(0, Math.ceil(this.#share * count) - 1)] as number
  }
}
