/**
 * The expected wait of the SGLang gateway: (tokens queued + tokens dispatched since the report) / throughput + λ·k / (1 − k), the least over all endpoints.
 * A request that waits, or was sent since, counts for 1,024 tokens when nothing better is known; throughput is the tokens per second that the
 * engine reports, 2,000 without; λ is 0.15 s, k the use of the KV cache. Without a report: the best peer's score plus its own requests over the fleet's
 * throughput; when no endpoint has one, the shortest queue of our own.
 */
import type { EndpointSlot } from '../../../data-plane/routing/endpoint-slot.ts'
import type { Rival } from './rival.ts'

const TOKENS_EACH = 1_024
const USUAL_TOKENS_PER_SECOND = 2_000
const KV_SECONDS = 0.15
const KV_MOST = 0.999

export type Heard = {
  readonly queueDepth: number
  readonly sentTokens: number
  readonly tokensPerSecond: number
  readonly kvCacheUse: number
}

/** Tokens that were sent since a report; another report begins at nothing. */
type Credit = { tokens: number; readonly report: EndpointSlot['load'] }

export function smgExpectedWait(): Rival {
  const sent = new Map<EndpointSlot, Credit>()
  const creditOf = (slot: EndpointSlot): Credit => {
    const known = sent.get(slot)
    if (known !== undefined && known.report === slot.load) return known
    const fresh = { tokens: 0, report: slot.load }
    sent.set(slot, fresh)
    return fresh
  }
  return {
    choose(pool, { draw }) {
      const slots = pool.slots
      const known = slots.map((slot) => heard(slot, creditOf(slot).tokens))
      const scores = withUnknown(
        known.map((one) => (one === undefined ? undefined : expectedSeconds(one))),
        slots.map((slot) => slot.charged),
        known.reduce((sum, one) => sum + (one?.tokensPerSecond ?? 0), 0),
      )
      const least = Math.min(...scores)
      const best = slots.filter((_, at) => scores[at] === least)
      return best[Math.floor(draw() * best.length)] as EndpointSlot
    },
    onSent(slot, { asked }) {
      creditOf(slot).tokens += asked.tokens
    },
  }
}

export function heard(slot: EndpointSlot, sentTokens: number): Heard | undefined {
  const { queueDepth, tokensPerSecond, kvCacheUse } = slot.load?.load ?? {}
  if (queueDepth === undefined) return undefined
  // An engine that made no token says nothing of how fast it is.
  const speed = tokensPerSecond === undefined || tokensPerSecond === 0 ? USUAL_TOKENS_PER_SECOND : tokensPerSecond
  return { queueDepth, sentTokens, tokensPerSecond: speed, kvCacheUse: kvCacheUse ?? 0 }
}

export function expectedSeconds({ queueDepth, sentTokens, tokensPerSecond, kvCacheUse }: Heard): number {
  const k = Math.min(kvCacheUse, KV_MOST)
  return (queueDepth * TOKENS_EACH + sentTokens) / tokensPerSecond + (KV_SECONDS * k) / (1 - k)
}

/** Scores of all, those without a report too. */
export function withUnknown(
  scores: readonly (number | undefined)[],
  inFlight: readonly number[],
  fleetTokensPerSecond: number,
): readonly number[] {
  const known = scores.filter((score) => score !== undefined)
  if (known.length === 0) return inFlight
  const best = Math.min(...known)
  return scores.map((score, at) => score ?? best + ((inFlight[at] ?? 0) * TOKENS_EACH) / fleetTokensPerSecond)
}
