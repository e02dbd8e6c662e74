/** What those weigh together who were there lately: in the current span of time or the one before. Costs a comparison a request. */
import type { Millis } from '../../core/units.ts'

export type Visitor = { readonly weight: number; seenIn: number }

export class Presence {
  #span = 1
  #began = 0
  #weight = 0
  #before = 0

  /** Before it was ever seen a visitor's `seenIn` is 0. */
  see(visitor: Visitor, now: Millis, length: Millis): void {
    this.#turn(now, length)
    if (visitor.seenIn === this.#span) return
    visitor.seenIn = this.#span
    this.#weight += visitor.weight
  }

  get weight(): number {
    return Math.max(this.#weight, this.#before)
  }

  #turn(now: Millis, length: Millis): void {
    const passed = now - this.#began
    if (passed < length) return
    this.#before = passed < 2 * length ? this.#weight : 0
    this.#weight = 0
    this.#span++
    this.#began = now
  }
}
