/** What must hold at every step of every run. A breach ends the run with words: a simulation that goes on with a broken account proves nothing. */
import { assert } from '../../../core/assert.ts'
import type { Millis } from '../../../core/units.ts'
import type { EndpointSlot } from '../../../data-plane/routing/endpoint-slot.ts'
import type { Ledger } from '../../../data-plane/routing/ledger.ts'
import type { Candidates } from '../../../data-plane/routing/model-groups.ts'

/** Cheap: two sums. */
export function checkLedger(ledger: Ledger, open: number): void {
  assert(ledger.open === open, 'the ledger holds as many attempts as are open')
  assert(ledger.burning >= 0, 'nothing burns less than not at all')
}

/** Every charge, endpoint by endpoint. */
export function checkCharges(ledger: Ledger, slots: readonly EndpointSlot[]): void {
  let [inFlight, burning] = [0, 0]
  for (const slot of slots) {
    assert(slot.inFlight >= 0 && slot.burning >= 0, 'no endpoint holds less than nothing')
    assert(slot.unanswered >= 0 && slot.unanswered <= slot.inFlight, 'whoever waits for an answer is open')
    inFlight += slot.inFlight
    burning += slot.burning
  }
  assert(inFlight === ledger.open && burning === ledger.burning, 'the sum of all charges is what is open and what burns')
}

/** FAILED is asked only when nobody else is left, DRAINING only where the control plane allows it. */
export function checkChoice({ endpoint }: EndpointSlot, { tiers }: Candidates, excluded: readonly EndpointSlot[]): void {
  assert(endpoint.state !== 'STARTING', 'nobody who starts is asked')
  assert(endpoint.state !== 'DRAINING' || endpoint.panic === 'may', 'nobody who drains is asked, but for mere caution')
  if (endpoint.state !== 'FAILED') return
  assert(endpoint.panic !== 'never', 'panic overrides no GPU that asks for recovery')
  const last = tiers.length - 1
  const others = tiers.slice(0, last).some((tier) => tier.slots.some((slot) => !excluded.includes(slot)))
  assert(!others, 'nobody who failed is asked while others are left')
}

const MINUTE_MS = 60_000

/** Weights that a proxy was told, and how often they change. */
export class WeightWatch {
  /** Of one endpoint in one minute, the most that was seen. */
  changesPerMinute = 0
  readonly #seen = new Map<string, { weight: number; minute: number; changes: number }>()

  note(id: string, weight: number, now: Millis): void {
    assert(Number.isFinite(weight) && weight >= 0, 'a weight is a number that is not below zero')
    const minute = Math.floor(now / MINUTE_MS)
    const seen = this.#seen.get(id)
    if (seen === undefined) {
      this.#seen.set(id, { weight, minute, changes: 0 })
      return
    }
    if (seen.minute !== minute) Object.assign(seen, { minute, changes: 0 })
    if (seen.weight === weight) return
    seen.weight = weight
    seen.changes++
    this.changesPerMinute = Math.max(this.changesPerMinute, seen.changes)
  }
}
