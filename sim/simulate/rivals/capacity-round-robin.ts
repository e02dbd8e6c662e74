/**
 * Round robin by weight, interleaved as nginx does it: each turn everybody gains its weight, the one with the most is taken and pays the sum of all
 * weights. Of weights 5, 1, 1 the order is a a b a c a a.
 */
import type { EndpointSlot } from '../../../data-plane/routing/endpoint-slot.ts'
import type { Rival } from './rival.ts'

export function capacityRoundRobin(): Rival {
  const gained = new Map<EndpointSlot, number>()
  return {
    choose(pool) {
      let best = pool.slotAt(0)
      let most = Number.NEGATIVE_INFINITY
      let total = 0
      for (let at = 0; at < pool.size; at++) {
        const slot = pool.slotAt(at)
        const { weight } = slot.endpoint
        const now = (gained.get(slot) ?? 0) + weight
        gained.set(slot, now)
        total += weight
        if (now > most) {
          best = slot
          most = now
        }
      }
      gained.set(best, most - total)
      return best
    },
  }
}
