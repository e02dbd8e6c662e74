/** One after the other, whatever their load: for servers that are all alike, and to compare with. */
import type { Policy } from './policy.ts'

export function roundRobin(): Policy {
  let next = 0
  return {
    name: 'ROUND_ROBIN',
    choose: (pool) => {
      next = (next + 1) % pool.size
      return pool.slotAt(next)
    },
    terms: (slot) => ({ weight: slot.endpoint.weight }),
  }
}
