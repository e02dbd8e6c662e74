/** One after the other, whatever their load: for servers that are all alike, and to compare with. */
import type { EndpointSlot } from './endpoint-slot.ts'
import type { Pool } from './pool.ts'

export function roundRobin(): (pool: Pool) => EndpointSlot {
  let next = 0
  return (pool) => {
    next = (next + 1) % pool.size
    return pool.slotAt(next)
  }
}
