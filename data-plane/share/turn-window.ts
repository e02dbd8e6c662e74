/** The longest turn of an event loop in the last one to two spans, so that what was slow at a start is not shown for ever; and how many were too long. */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'

export class TurnWindow {
  /** Looks in which a turn was longer than it should be. */
  long = 0
  #since = millis(0)
  #worst = millis(0)
  #before = millis(0)

  note(turn: Millis, now: Millis): void {
    this.#shift(now)
    if (turn > limits.turnGoal) this.long++
    if (turn > this.#worst) this.#worst = turn
  }

  worst(now: Millis): Millis {
    this.#shift(now)
    return millis(Math.max(this.#worst, this.#before))
  }

  #shift(now: Millis): void {
    const spans = Math.floor((now - this.#since) / limits.turnSpan)
    if (spans === 0) return
    this.#before = spans === 1 ? this.#worst : millis(0)
    this.#worst = millis(0)
    this.#since = millis(this.#since + spans * limits.turnSpan)
  }
}
