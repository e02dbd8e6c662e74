/**
 * When to look at which node again. Cost follows what is due, not how many nodes there are: due times lie in slots, and a report does not touch
 * them; a look that comes too early finds nothing to do and asks for a later one. One owner: the control loop.
 */
import type { Millis } from '../../core/units.ts'

const SLOT_MS = 50

/** In place of a slot: it was looked at, and is not to be looked at again yet. Taking names out and in all the time would make the map anew all the time. */
const NOT_DUE = -1

export class Agenda {
  readonly #slotOf = new Map<string, number>()
  /** A name stands also where it stood before it was moved to an earlier slot. */
  readonly #slots = new Map<number, string[]>()
  #taken: number

  constructor(now: Millis) {
    this.#taken = Math.floor(now / SLOT_MS)
  }

  /** Looks at `key` at `at` or up to a slot later, unless it is to be looked at earlier anyway. */
  lookBy(key: string, at: Millis): void {
    const slot = Math.max(Math.ceil(at / SLOT_MS), this.#taken + 1)
    const before = this.#slotOf.get(key) ?? NOT_DUE
    if (before !== NOT_DUE && before <= slot) return
    this.#slotOf.set(key, slot)
    const keys = this.#slots.get(slot)
    if (keys === undefined) this.#slots.set(slot, [key])
    else keys.push(key)
  }

  forget(key: string): void {
    this.#slotOf.delete(key)
  }

  takeDue(now: Millis): string[] {
    const last = Math.floor(now / SLOT_MS)
    const due: string[] = []
    while (this.#taken < last) {
      this.#taken++
      for (const key of this.#slots.get(this.#taken) ?? []) {
        if (this.#slotOf.get(key) !== this.#taken) continue
        this.#slotOf.set(key, NOT_DUE)
        due.push(key)
      }
      this.#slots.delete(this.#taken)
    }
    return due
  }
}
