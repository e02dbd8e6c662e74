/** What every routing policy is: a choice among endpoints that may all serve the request. Pure; the draw and the time come in with the ask. */
import type { PolicyName } from '../../core/mesh-snapshot.ts'
import type { Ask } from './ask.ts'
import type { EndpointSlot } from './endpoint-slot.ts'
import { leastRequest } from './least-request.ts'
import { leastWait } from './least-wait.ts'
import { type AdapterRule, nearAdapter } from './near-adapter.ts'
import { peakLatency } from './peak-latency.ts'
import type { Pool } from './pool.ts'
import { prefix } from './prefix.ts'
import { PrefixIndex } from './prefix-index.ts'
import { prequal } from './prequal.ts'
import { ringHash } from './ring-hash.ts'
import { roundRobin } from './round-robin.ts'
import { weighted } from './weighted.ts'

/** What a policy saw of one endpoint, term by term, for whoever asks why: numbers in the policy's own units, or a word where there is none. */
export type Terms = Readonly<Record<string, number | string>>

export type Policy = {
  readonly name: PolicyName
  /** It chooses among all zones, since proxies of different zones are to agree. */
  readonly anyZone?: boolean
  /** The pool is not empty. */
  choose(pool: Pool, ask: Ask): EndpointSlot
  /** Asked of sampled requests only: it may cost what it likes, and changes nothing. */
  terms(slot: EndpointSlot, ask: Ask): Terms
}

/** A policy may remember something from one choice to the next, so each model gets its own. `adapter`: its requests are for one, or may be. */
export function createPolicy(name: PolicyName, prefixes = new PrefixIndex(), adapter?: AdapterRule): Policy {
  const preferring = (policy: Policy): Policy => (adapter === undefined ? policy : nearAdapter(policy, adapter))
  const load = byLoad(name === 'RING_HASH' || name === 'PREFIX' ? 'LEAST_WAIT' : name)
  switch (name) {
    case 'RING_HASH':
      return ringHash(preferring(load))
    case 'PREFIX':
      return prefix(load, prefixes, preferring(load))
    default:
      return preferring(load)
  }
}

function byLoad(name: Exclude<PolicyName, 'RING_HASH' | 'PREFIX'>): Policy {
  switch (name) {
    case 'LEAST_WAIT':
      return leastWait()
    case 'LEAST_REQUEST':
      return leastRequest
    case 'PEAK_EWMA':
      return peakLatency
    case 'PREQUAL':
      return prequal()
    case 'WEIGHTED':
      return weighted
    case 'ROUND_ROBIN':
      return roundRobin()
    default:
      return name satisfies never
  }
}
