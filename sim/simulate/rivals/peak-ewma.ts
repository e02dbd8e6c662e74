/**
 * Tower's (Linkerd's) peak EWMA on two even draws: cost = latency × (requests pending + 1). A sample above the mean replaces it; one below moves it by the
 * time that has passed; reading it lets it decay towards nothing, so whoever was slow is tried again. The latency is that to the first token, and
 * a request is pending to its end: counting it out at the first byte, as for short answers, would hide all who decode.
 */
import type { EndpointSlot } from '../../../data-plane/routing/endpoint-slot.ts'
import { twoEvenly } from './least-request-p2c.ts'
import type { Rival } from './rival.ts'

const DECAY_MS = 10_000
const SEED_MS = 30

type Latency = { ms: number; at: number }

export function peakEwma(): Rival {
  const latencies = new Map<EndpointSlot, Latency>()
  const cost = (slot: EndpointSlot, now: number): number => (decayed(latencies.get(slot) ?? seed(now), 0, now) + 1e-9) * (slot.inFlight + 1)
  return {
    choose(pool, { draw, now }) {
      const [a, b] = twoEvenly(pool, draw)
      return cost(b, now) < cost(a, now) ? b : a
    },
    onFirstToken(slot, ttftMs, { now }) {
      const known = latencies.get(slot) ?? seed(now)
      latencies.set(slot, { ms: ttftMs > known.ms ? ttftMs : decayed(known, ttftMs, now), at: now })
    },
  }
}

const seed = (at: number): Latency => ({ ms: SEED_MS, at })

/** Moved towards the sample by the time that has passed. */
export function decayed({ ms, at }: Latency, sample: number, now: number): number {
  const kept = Math.exp(-(now - at) / DECAY_MS)
  return ms * kept + sample * (1 - kept)
}
