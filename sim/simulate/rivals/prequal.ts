/**
 * Prequal's hot-cold lexicographic rule on a pool of probes. A probe tells how many requests a replica has and how long requests took there lately; three go
 * out with each query and at most 16 are kept, for a second at most. Hot is who has more than the quantile of all that was probed: the cold one with the
 * least latency wins; are all hot, the one with the fewest requests. With fewer than two probes it is a random one. What is probed here is the last
 * report and this proxy's own latency: the product has no probes, and rivals see what it sees.
 */
import type { EndpointSlot } from '../../../data-plane/routing/endpoint-slot.ts'
import type { Pool } from '../../../data-plane/routing/pool.ts'
import type { Rival } from './rival.ts'

const PROBES_PER_QUERY = 3
const POOL_MAX = 16
const AGE_MAX_MS = 1_000
const HOT_QUANTILE = 2 ** -0.25
const SEEN_MAX = 128
const LATENCY_KEPT = 0.8
/** Uses of one probe, at least. */
const REUSE_DELTA = 1
const REMOVED_PER_QUERY = 1
const REUSE_MAX = 16

export type Probe = { readonly slot: EndpointSlot; inFlight: number; readonly latencyMs: number; readonly at: number; uses: number }

export function prequal(): Rival {
  const probes: Probe[] = []
  const seen: number[] = []
  const latencies = new Map<EndpointSlot, number>()
  let removesWorst = false
  const probe = (pool: Pool, draw: () => number, now: number): void => {
    for (let i = 0; i < Math.min(PROBES_PER_QUERY, pool.size); i++) {
      const slot = pool.slotAt(Math.floor(draw() * pool.size))
      const inFlight = requestsOf(slot)
      seen.push(inFlight)
      if (seen.length > SEEN_MAX) seen.shift()
      if (probes.length >= POOL_MAX) probes.shift()
      probes.push({ slot, inFlight, latencyMs: latencies.get(slot) ?? 0, at: now, uses: 0 })
    }
  }
  return {
    choose(pool, { draw, now, excluded }) {
      probe(pool, draw, now)
      const fresh = probes.filter((one) => now - one.at <= AGE_MAX_MS && !excluded.includes(one.slot))
      probes.splice(0, probes.length, ...fresh)
      if (probes.length < 2) return pool.slotAt(Math.floor(draw() * pool.size))
      const chosen = hotCold(probes, hotThreshold(seen))
      chosen.inFlight++
      if (++chosen.uses >= reuseLimit(pool.size)) probes.splice(probes.indexOf(chosen), 1)
      else if (probes.length > 2) probes.splice(removesWorst ? probes.indexOf(worst(probes, hotThreshold(seen))) : 0, REMOVED_PER_QUERY)
      removesWorst = !removesWorst
      return chosen.slot
    },
    onFirstToken(slot, ttftMs) {
      const known = latencies.get(slot)
      latencies.set(slot, known === undefined ? ttftMs : known * LATENCY_KEPT + ttftMs * (1 - LATENCY_KEPT))
    },
  }
}

/** As the replica would answer: what its last report said, but no less than this proxy itself has there; without a report, that alone. */
function requestsOf(slot: EndpointSlot): number {
  const { queueDepth, running = 0 } = slot.load?.load ?? {}
  return queueDepth === undefined ? slot.charged : Math.max(slot.charged, queueDepth + running)
}

export function hotThreshold(seen: readonly number[]): number {
  const sorted = seen.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(HOT_QUANTILE * sorted.length))] ?? 0
}

/** The pool is not empty. */
export function hotCold(probes: readonly Probe[], threshold: number): Probe {
  const cold = probes.filter((one) => one.inFlight <= threshold)
  const [first, ...rest] = cold.length > 0 ? cold : probes
  const less = cold.length > 0 ? (a: Probe, b: Probe) => a.latencyMs < b.latencyMs : (a: Probe, b: Probe) => a.inFlight < b.inFlight
  return rest.reduce((best, one) => (less(one, best) ? one : best), first as Probe)
}

/** Whom nobody should take: of the hot the one with the most requests, else the cold one with the most latency. */
export function worst(probes: readonly Probe[], threshold: number): Probe {
  const hot = probes.filter((one) => one.inFlight > threshold)
  const [first, ...rest] = hot.length > 0 ? hot : probes
  const more = hot.length > 0 ? (a: Probe, b: Probe) => a.inFlight > b.inFlight : (a: Probe, b: Probe) => a.latencyMs > b.latencyMs
  return rest.reduce((top, one) => (more(one, top) ? one : top), first as Probe)
}

/** b = max(1, (1 + δ) / ((1 − m / n) · probes − removed)); where a pool holds the whole fleet the rule has no answer and a bound stands in. */
export function reuseLimit(replicas: number): number {
  const denominator = (1 - POOL_MAX / replicas) * PROBES_PER_QUERY - REMOVED_PER_QUERY
  return denominator <= 0 ? REUSE_MAX : Math.max(1, (1 + REUSE_DELTA) / denominator)
}
