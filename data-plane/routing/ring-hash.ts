/**
 * The endpoint to which the request's key belongs, while it has not more than its part: consistent hashing with bounded loads (Mirrokni et al. 2016). An
 * endpoint that would hold more than a quarter above its share of all that the pool holds, by weight, passes the key on to the next in the key's own
 * order. Zones count for nothing, so that all proxies agree. A request without a key goes where another policy would send it.
 */
import type { Ask } from './ask.ts'
import type { EndpointSlot } from './endpoint-slot.ts'
import { Nearest } from './hash-ring.ts'
import type { Policy } from './policy.ts'
import type { Pool } from './pool.ts'

/** What an endpoint may hold above its share. */
const EXCESS = 0.25
/** So much is never too much, unless the endpoint takes less at once: when a fleet is nearly idle, its mean says nothing. */
const FREE = 4
const ROUNDING = 1e-6

export const ringHash = (otherwise: Policy): Policy => ({
  name: 'RING_HASH',
  anyZone: true,
  choose: (pool, ask) => (ask.key === undefined ? undefined : ownerWithin(pool, ask.key, ask)) ?? otherwise.choose(pool, ask),
  terms: (slot, ask) => ({ key: ask.key ?? 'none', charged: slot.charged, weight: slot.endpoint.weight }),
})

/** Of those in some parts of the pool, by the load of the whole. Undefined when so many have their part that it is not worth while to look for one that has not. */
export function ownerWithin(pool: Pool, key: number, { excluded, compared }: Ask, among = pool.parts): EndpointSlot | undefined {
  let held = 1
  let weight = 0
  for (const { ring } of pool.parts) {
    ring.look()
    held += ring.held
    weight += ring.weight
  }
  const fits = (slot: EndpointSlot): boolean => !excluded.includes(slot) && hasRoom(slot, held / weight)
  const nearest = new Nearest()
  for (const { ring } of among) ring.search(key, nearest)
  if (nearest.slot !== undefined) compared?.push(nearest.slot)
  if (nearest.slot === undefined || fits(nearest.slot)) return nearest.slot
  const next = new Nearest()
  for (const { ring } of among) ring.search(key, next, fits)
  return next.slot
}

/** `mean`: requests for each unit of weight, this one among them. */
export function hasRoom(slot: EndpointSlot, mean: number): boolean {
  const { weight, capacity } = slot.endpoint
  // What rounding adds to a whole number is not one more request.
  const bound = Math.ceil((1 + EXCESS) * mean * Math.max(0, weight) - ROUNDING)
  return slot.charged < Math.max(bound, capacity > 0 ? Math.min(FREE, capacity) : FREE)
}
