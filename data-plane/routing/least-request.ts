/** The one with fewer of our requests per weight, of two drawn by weight. Needs no report. */
import type { EndpointSlot } from './endpoint-slot.ts'
import { betterOfTwo, type Pool } from './pool.ts'

export const leastRequest = (pool: Pool, draw: () => number): EndpointSlot => betterOfTwo(pool, draw, compareCharges)

/** One more request counts, so that of two idle endpoints the heavier is the better. */
export function compareCharges(a: EndpointSlot, b: EndpointSlot): number {
  return (a.charged + 1) / rate(a) - (b.charged + 1) / rate(b)
}

/** Weight stands for throughput; one of zero, which was only reached because nobody better was left, counts as very slow. */
export const rate = (slot: EndpointSlot): number => Math.max(slot.endpoint.weight, 0.001)
