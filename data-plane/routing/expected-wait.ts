/**
 * What the reports of an endpoint, and what was sent since, say of the wait that a request would meet there. A signal is fresh, too old to go by, or none:
 * the server tells nothing, or less than what this proxy alone has open there.
 */
import type { Millis } from '../../core/units.ts'
import type { EndpointSlot } from './endpoint-slot.ts'
import { isStale, loadAge } from './signal-age.ts'

export type Signal = 'fresh' | 'stale' | 'none'

/** λ, in seconds: how much a filling KV cache weighs against waiting. */
const KV_FACTOR = 0.15
const KV_MOST = 0.999
const ROOMY_KV_BELOW = 0.5
/** After so long nobody waits any more who waited although places and memory were free: prompts were being read. */
const READ_WITHIN_MS = 1_000

export function signalOf(slot: EndpointSlot, now: Millis): Signal {
  const age = loadAge(slot, now)
  if (age === undefined || slot.load?.load.queueDepth === undefined || slot.others.contradicts(slot.charged)) return 'none'
  return isStale(age) || slot.endpoint.freshness !== 'fresh' ? 'stale' : 'fresh'
}

/** Requests in the server, as well as is known: ours, and where its reports tell it those of others. */
export const workOf = (slot: EndpointSlot): number => slot.charged + (slot.others.work ?? 0)

/** Memory for another answer is there, as far as is known. */
export const hasMemory = ({ load }: EndpointSlot): boolean => (load?.load.kvCacheUse ?? 0) < ROOMY_KV_BELOW

/** In seconds, of an endpoint that works off `pace` requests per second. */
export function expectedWait(slot: EndpointSlot, pace: number, now: Millis): number {
  const k = Math.min(slot.load?.load.kvCacheUse ?? 0, KV_MOST)
  return Math.max(0, requestsAhead(slot, now)) / pace + (KV_FACTOR * k) / (1 - k)
}

/** Requests that have to end before another one begins; none, or fewer, where one may begin at once. */
export function requestsAhead(slot: EndpointSlot, now: Millis): number {
  const { queueDepth = 0, running } = slot.load?.load ?? {}
  const places = placesOf(slot, now)
  if (running === undefined || places === undefined || places === 0) return queueDepth + slot.charged - slot.chargedAtSample
  return workOf(slot) + 1 - places
}

/** A server in which some wait has no place to spare, when it says so; the older its word, the less that holds of places and memory that it seemed to have. */
function placesOf(slot: EndpointSlot, now: Millis): number | undefined {
  const { queueDepth = 0, running } = slot.load?.load ?? {}
  const { capacity } = slot.endpoint
  if (queueDepth === 0) return capacity
  if (running === undefined || capacity <= running || !hasMemory(slot)) return running
  return running + (capacity - running) * Math.min(1, (loadAge(slot, now) ?? 0) / READ_WITHIN_MS)
}
