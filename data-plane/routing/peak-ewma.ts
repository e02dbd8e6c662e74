/**
 * A latency that jumps up with a slow sample and comes down slowly: a mean with exponential decay by time, but never below a sample that is above it.
 * What was not heard of for long decays towards nothing, so that whoever was slow once is tried again.
 */
import { type Millis, millis } from '../../core/units.ts'

const DECAY_MS = 10_000

export class PeakEwma {
  #value = 0
  #at = millis(0)
  #known = false

  /** Undefined before the first sample. */
  read(now: Millis): Millis | undefined {
    return this.#known ? millis(this.#value * Math.exp(-(now - this.#at) / DECAY_MS)) : undefined
  }

  record(sample: Millis, now: Millis): void {
    const kept = Math.exp(-(now - this.#at) / DECAY_MS)
    this.#value = this.#known && sample <= this.#value ? this.#value * kept + sample * (1 - kept) : sample
    this.#at = now
    this.#known = true
  }

  /** A failure is not quick because it came quickly: it counts as this slow at least. */
  punish(least: Millis, now: Millis): void {
    this.record(millis(Math.max(least, this.read(now) ?? 0)), now)
  }
}
