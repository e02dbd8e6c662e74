/**
 * What this proxy held against one endpoint a short while ago. A sample of a server's load is some hundred milliseconds old when it arrives, and it shows
 * what was there when it was taken: what has been sent since comes on top, what ended comes off. Marks lie `GRAIN` apart, so a moment within one
 * counts as its beginning: what is in doubt was sent after the sample, and counts twice rather than not at all.
 */
import type { Millis } from '../../core/units.ts'

const GRAIN_MS = 64
/** Together a second or more. */
const MARKS = 16

export class ChargeHistory {
  /** What was held at the mark, before what changed then. */
  readonly #held = new Float64Array(MARKS)
  readonly #at = new Float64Array(MARKS).fill(Number.NEGATIVE_INFINITY)
  #newest = 0

  /** Before what is held changes. */
  note(held: number, now: Millis): void {
    if (now - (this.#at[this.#newest] as number) < GRAIN_MS) return
    this.#newest = (this.#newest + 1) % MARKS
    this.#at[this.#newest] = now
    this.#held[this.#newest] = held
  }

  /** What was held at a moment; `held` is what is held now. Before the oldest mark: what was held at that. */
  heldAt(moment: Millis, held: number): number {
    let after = held
    for (let back = 0; back < MARKS; back++) {
      const mark = (this.#newest - back + MARKS) % MARKS
      const at = this.#at[mark] as number
      if (moment >= at + GRAIN_MS) return after
      if (at === Number.NEGATIVE_INFINITY) return after
      after = this.#held[mark] as number
      if (moment >= at) return after
    }
    return after
  }
}
