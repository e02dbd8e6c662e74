/**
 * The lower product of latency and pending requests, of two drawn by weight, as in Linkerd. Latency is the time to the first byte, which falls by itself
 * while nobody is sent there; a request is pending until its stream ends, since a server that decodes is at work. Needs no report.
 */

import type { Millis } from '../../core/units.ts'
import type { EndpointSlot } from './endpoint-slot.ts'
import { latencyOrGuess } from './latency.ts'
import { compareCharges, rate } from './least-request.ts'
import type { Policy } from './policy.ts'
import { betterOfTwo } from './pool.ts'

export const peakLatency: Policy = {
  name: 'PEAK_EWMA',
  choose: (pool, ask) => betterOfTwo(pool, ask, (a, b) => compareCosts(a, b, ask.now)),
  terms: (slot, { now }) => ({ latency: slot.firstByte.read(now) ?? 'unknown', pending: slot.charged, rate: rate(slot) }),
}

function compareCosts(a: EndpointSlot, b: EndpointSlot, now: Millis): number {
  const costA = cost(a, now)
  const costB = cost(b, now)
  return costA === costB ? compareCharges(a, b) : costA - costB
}

const cost = (slot: EndpointSlot, now: Millis): number => (latencyOrGuess(slot, now) * (slot.charged + 1)) / rate(slot)
