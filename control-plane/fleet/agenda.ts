/**
 * When to look at which node again. Cost follows what is due, not how many nodes there are: due times lie in slots, and a report does not touch
 * them; a look that comes too early finds nothing to do and asks for a later one. One owner: the control loop.
 */
import type { Millis } from '../../core/units.ts'

const SLOT_MS = 50

export class Agenda {
  readonly #slotOf = new Map<string, number>()
  readonly #slots = new Map<number, Set<string>>()
  #taken: number

  constructor(now: Millis) {
    this.#taken = Math.floor(now / SLOT_MS)
  }

  /** Looks at `key` at `at` or up to a slot later, unless it is to be looked at earlier anyway. */
  lookBy(key: string, at: Millis): void {
    const slot = Math.max(Math.ceil(at / SLOT_MS), this.#taken + 1)
    const before = this.#slotOf.get(key)
    if (before !== undefined && before <= slot) return
    if (before !== undefined) this.#slots.get(before)?.delete(key)
    this.#slotOf.set(key, slot)
    const keys = this.#slots.get(slot)
    if (keys === undefined) this.#slots.set(slot, new Set([key]))
    else keys.add(key)
  }

  takeDue(now: Millis): string[] {
    const last = Math.floor(now / SLOT_MS)
    const due: string[] = []
    while (this.#taken < last) {
      this.#taken++
      for (const key of this.#slots.get(this.#taken) ?? []) {
        this.#slotOf.delete(key)
        due.push(key)
      }
      this.#slots.delete(this.#taken)
    }
    return due
  }
}
