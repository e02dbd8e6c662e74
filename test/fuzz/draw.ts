/** Numbers that look random and are the same at each run: everything that a fuzzer chooses, it chooses by one of these. */

/** Sizes at which engines go wrong: nothing, one, a message's prefix, a frame, a window, each with its neighbours. */
const EDGES = [0, 1, 2, 4, 5, 6, 9, 255, 256, 2_047, 2_048, 2_049, 16_383, 16_384, 16_385, 65_535, 65_536]

export class Draw {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** Begins anew, so that one object serves many seeds. */
  reseed(seed: number): void {
    this.#state = seed >>> 0
  }

  /** Thirty-two bits (mulberry32). */
  bits(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  /** 0 ≤ x < limit. */
  part(limit: number): number {
    return (this.bits() / 2 ** 32) * limit
  }

  /** 0 ≤ n < limit, a whole number. */
  below(limit: number): number {
    return Math.floor(this.part(limit))
  }

  /** lowest ≤ n ≤ highest. */
  between(lowest: number, highest: number): number {
    return lowest + this.below(highest - lowest + 1)
  }

  oneIn(count: number): boolean {
    return this.below(count) === 0
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T
  }

  /** Mostly small, sometimes at an edge, never above `most`. */
  size(most: number): number {
    if (most <= 0) return 0
    if (this.oneIn(4)) return Math.min(this.pick(EDGES), most)
    return Math.min(this.below(2 ** this.between(1, 19)), most)
  }
}
