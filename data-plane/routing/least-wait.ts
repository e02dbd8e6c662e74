/**
 * The shorter expected wait, of two drawn by weight:
 *   (queue reported + dispatched since that sample − finished since) / rate + λ·k / (1 − k), with k the KV-cache use.
 * A report that is old loses to one that is fresh; when both are old or absent our own charges decide alone. Unknown is neither idle nor overloaded.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { EndpointSlot } from './endpoint-slot.ts'
import { compareCharges, rate } from './least-request.ts'
import type { Policy } from './policy.ts'
import { betterOfTwo } from './pool.ts'

/** How much a full KV cache weighs against queued requests. */
const KV_FACTOR = 0.15
const KV_MOST = 0.999

export const leastWait: Policy = {
  name: 'LEAST_WAIT',
  choose: (pool, ask) => betterOfTwo(pool, ask, (a, b) => compareWaits(a, b, ask.now)),
  terms: (slot, { now }) => ({ wait: expectedWait(slot, now), charged: slot.charged, rate: rate(slot) }),
}

export function compareWaits(a: EndpointSlot, b: EndpointSlot, now: Millis): number {
  const waitA = expectedWait(a, now)
  const waitB = expectedWait(b, now)
  if (typeof waitA === 'number' && typeof waitB === 'number' && waitA !== waitB) return waitA - waitB
  if (waitA === 'stale' && typeof waitB === 'number') return 1
  if (waitB === 'stale' && typeof waitA === 'number') return -1
  return compareCharges(a, b)
}

/** In units of one request at weight 100. */
function expectedWait(slot: EndpointSlot, now: Millis): number | 'unknown' | 'stale' {
  const { load } = slot
  if (load === undefined || load.load.queueDepth === undefined) return 'unknown'
  if (now - load.sampledAt > limits.loadAgeMax) return 'stale'
  const work = Math.max(0, load.load.queueDepth + slot.dispatchedSince - slot.finishedSince)
  const k = Math.min(load.load.kvCacheUse ?? 0, KV_MOST)
  return (work * 100) / rate(slot) + (KV_FACTOR * k) / (1 - k)
}
