/** The one with fewer of our requests per weight, of two drawn by weight. Needs no report. */
import type { EndpointSlot } from './endpoint-slot.ts'
import type { Policy } from './policy.ts'
import { betterOfTwo } from './pool.ts'

export const leastRequest: Policy = {
  name: 'LEAST_REQUEST',
  choose: (pool, ask) => betterOfTwo(pool, ask, compareCharges),
  terms: (slot) => ({ charged: slot.charged, rate: rate(slot) }),
}

/** One more request counts, so that of two idle endpoints the heavier is the better. */
export function compareCharges(a: EndpointSlot, b: EndpointSlot): number {
  return (a.charged + 1) / rate(a) - (b.charged + 1) / rate(b)
}

/**
 * Weight stands for throughput, but for slow start: a young endpoint is drawn seldom, and one that was drawn is as fast as it will be. Were it taken for
 * slow as well, it would get nothing at all while its peers have little to do. One of weight zero, which was only reached because nobody better was left,
 * counts as very slow. One that refuses or fails what it is sent looks idle, and is not: the less it is trusted, the slower it counts.
 */
export const rate = ({ endpoint, trust }: EndpointSlot): number => Math.max((endpoint.weight * trust) / (endpoint.slowStart ?? 1), 0.001)
