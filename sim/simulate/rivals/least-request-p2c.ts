/** Envoy's LEAST_REQUEST of equal weights: of two drawn evenly the one with fewer requests of this proxy; a tie goes to the first. */
import type { EndpointSlot } from '../../../data-plane/routing/endpoint-slot.ts'
import type { Pool } from '../../../data-plane/routing/pool.ts'
import type { Rival } from './rival.ts'

export const leastRequestP2c = (): Rival => ({
  choose(pool, { draw }) {
    const [a, b] = twoEvenly(pool, draw)
    return b.charged < a.charged ? b : a
  },
})

/** Two different ones, where there are two. */
export function twoEvenly(pool: Pool, draw: () => number): readonly [EndpointSlot, EndpointSlot] {
  const { size } = pool
  const first = Math.floor(draw() * size)
  const second = size === 1 ? first : (first + 1 + Math.floor(draw() * (size - 1))) % size
  return [pool.slotAt(first), pool.slotAt(second)]
}
