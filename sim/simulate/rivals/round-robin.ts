/** One after the other, whatever they are and whatever they have to do. */
import type { Rival } from './rival.ts'

export function plainRoundRobin(): Rival {
  let next = 0
  return {
    choose(pool) {
      next = (next + 1) % pool.size
      return pool.slotAt(next)
    },
  }
}
