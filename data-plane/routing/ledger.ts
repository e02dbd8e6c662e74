/**
 * The local and exact account of what this worker has running where. An endpoint is charged when it is chosen and settled once, when the attempt
 * ends, whatever ends it. Invariants: the sum of all charges = open upstream attempts + burning; unanswered are those open attempts of whose answer no byte
 * has come.
 */
import { assert } from '../../core/assert.ts'
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { EndpointSlot } from './endpoint-slot.ts'

/**
 * What the end of an attempt says of its endpoint: it served; it lives and is full; it failed; it was lost with
 * its connection, a failure for which the connection answers, since one that breaks takes all its attempts with it. `neither` is what callers bring about: their own errors,
 * a cancel, a deadline.
 */
export type Outcome = 'success' | 'backpressure' | 'failure' | 'lost' | 'neither'

type Ember = { readonly slot: EndpointSlot; readonly until: number }

export class Ledger {
  /** Open attempts over all endpoints. */
  open = 0
  burning = 0
  #embers: Ember[] = []
  /** Slots with news for whoever adds up, each once. */
  #touched: EndpointSlot[] = []

  charge(slot: EndpointSlot, now: Millis): void {
    slot.noteCharge(now)
    slot.inFlight++
    slot.unanswered++
    this.open++
    if (!slot.touched) this.touch(slot)
  }

  /** The first byte of an attempt's answer has come; once, before it is settled. */
  answered(slot: EndpointSlot): void {
    assert(slot.unanswered > 0, 'an answer begins once')
    slot.unanswered--
    if (!slot.touched) this.touch(slot)
  }

  /** `burning`: the endpoint was told to stop and has not confirmed it; it stays charged until the limit passes. `answered`: its answer had begun. */
  settle(slot: EndpointSlot, outcome: Outcome, burning: boolean, answered: boolean, now: Millis): void {
    assert(slot.inFlight > 0, 'a charge is settled once')
    slot.noteCharge(now)
    slot.inFlight--
    if (!answered) slot.unanswered--
    this.open--
    if (outcome === 'success') slot.successes++
    else if (outcome === 'backpressure') slot.backpressures++
    else if (outcome === 'failure' || outcome === 'lost') {
      slot.failures++
      slot.firstByte.punish(limits.failureLatency, now)
    }
    if (!slot.touched) this.touch(slot)
    if (!burning) return
    slot.burning++
    this.burning++
    this.#embers.push({ slot, until: now + limits.burningMax })
  }

  /** Lets go of what has burnt long enough. */
  expire(now: Millis): void {
    let cold = 0
    while (cold < this.#embers.length && (this.#embers[cold] as Ember).until <= now) {
      const { slot } = this.#embers[cold] as Ember
      slot.noteCharge(now)
      slot.burning--
      this.burning--
      if (!slot.touched) this.touch(slot)
      cold++
    }
    if (cold > 0) this.#embers = this.#embers.slice(cold)
  }

  /** Its row changed. */
  touch(slot: EndpointSlot): void {
    if (slot.touched) return
    slot.touched = true
    this.#touched.push(slot)
  }

  /** Slots whose row changed since they were last taken; what is more than wanted waits. */
  takeTouched(most: number): readonly EndpointSlot[] {
    if (this.#touched.length === 0) return NONE
    const taken = this.#touched.length <= most ? this.#touched : this.#touched.slice(0, most)
    this.#touched = this.#touched.slice(taken.length)
    for (const slot of taken) slot.touched = false
    return taken
  }
}

const NONE: readonly EndpointSlot[] = []
