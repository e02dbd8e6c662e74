/**
 * Decides which newcomers are told the whole fleet in this tick. When every proxy comes at once a greeting for each would be gigabytes in memory: they
 * take turns, so many at a time that what was sent and is not answered stays within a bound, and so seldom that laying out the whole, which those of a
 * round share, costs little. One can always be greeted when none waits to be answered.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { ControlState } from '../state.ts'

export class Greetings {
  readonly #state: ControlState
  readonly #now: Millis
  readonly #open: boolean
  #taken = 0
  /** Known once the first newcomer asks: in most ticks there is none. */
  #waiting: number | undefined

  constructor(state: ControlState, now: Millis) {
    this.#state = state
    this.#now = now
    this.#open = state.greetedAt === undefined || now - state.greetedAt >= (1_000 * state.snapshot.bytes) / limits.greetingLayoutPerSecond
  }

  take(): boolean {
    if (!this.#open) return false
    this.#waiting ??= this.#unanswered()
    const { bytes } = this.#state.snapshot
    if (this.#waiting > 0 && this.#waiting + bytes > limits.greetingBytesMax) return false
    if (this.#taken > 0 && (this.#taken === limits.greetingsPerRound || (this.#taken + 1) * bytes > limits.greetingBytesPerRound))
      return false
    this.#taken++
    this.#state.greetedAt = this.#now
    this.#waiting += bytes
    return true
  }

  #unanswered(): number {
    let bytes = 0
    for (const session of this.#state.proxies.values()) bytes += session.greetingBytes(this.#now)
    return bytes
  }
}
