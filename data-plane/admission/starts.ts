/**
 * When a tenant that holds more than its share may begin its next request. Requests that began together end together, and until they do all places are taken
 * for whoever is below its share. So the starts of a greedy tenant are spread over the time that its requests usually take, and places become free one
 * after the other. Where its requests take unlike times, their ends scatter by themselves: by so much its starts may crowd, and no place stands idle for nothing.
 * Invariants: nobody is held back before it is known how long requests take, and never longer than one takes.
 */
import { type Millis, millis } from '../../core/units.ts'
import { WHEEL_GRAIN } from './timer-wheel.ts'

/** A little faster than places come free, so that what was lost to chance is made up for. */
const TEMPO = 0.9
/** Starts that may be made up for at once. */
const CROWD = 2
const STEP = 0.05

export class Starts {
  /** Attempts of the tenant that hold a place. */
  open = 0
  /** Until then it holds back while it is above its share. */
  next = millis(0)
  /** How long one of them holds its place, and how far that strays. */
  #hold: number | undefined
  #scatter = 0

  /** `places`: what it holds and what is free; `usual`: how long anybody's request holds one, if that is known. */
  began(places: number, usual: number | undefined, now: Millis): void {
    this.open++
    const hold = this.#hold ?? usual
    if (hold === undefined || places === Number.POSITIVE_INFINITY) return
    const gap = (TEMPO * hold) / Math.max(places, this.open)
    const crowd = Math.max(CROWD * gap, this.#scatter, WHEEL_GRAIN)
    this.next = millis(Math.min(Math.max(this.next, now - crowd) + gap, now + hold))
  }

  ended(held: Millis, usual: number | undefined): void {
    this.open--
    this.#hold ??= usual ?? held
    this.#scatter += STEP * (Math.abs(held - this.#hold) - this.#scatter)
    this.#hold += STEP * (held - this.#hold)
  }
}
