/**
 * Why a request goes where it goes, in full: who could have had it with what each was judged by, and who was passed over. Made for sampled requests and
 * for people who ask, so it may cost some microseconds; of a large fleet it looks at a bounded number of endpoints. It says nothing of what was asked.
 */
import { limits } from '../../core/limits.ts'
import type { Candidate, Choice, PassedOver } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import type { Ask } from '../routing/ask.ts'
import type { OutlierReason } from '../routing/away.ts'
import type { EndpointSlot } from '../routing/endpoint-slot.ts'
import type { Candidates } from '../routing/model-groups.ts'
import type { Policy } from '../routing/policy.ts'
import type { Pool } from '../routing/pool.ts'
import { tierOf } from '../routing/tiered-group.ts'

/** The tier of a choice among none. */
const NOBODY = -1

export type ChoiceHead = Pick<Choice, 'model' | 'snapshotVersion'>

/** `chosen` is undefined when nothing was: somebody asks how things stand. Changes nothing, so a policy with a cursor goes on as it would have. */
export function describeChoice(about: ChoiceHead, from: Candidates, ask: Ask, chosen: EndpointSlot | undefined): Choice {
  const tier = chosen === undefined ? from.tiers.findIndex((pool) => hasUntriedIn(pool, ask)) : tierOf(chosen)
  const pool = from.tiers[tier]
  const compared = ask.compared ?? []
  const first = chosen === undefined ? compared : [chosen, ...compared]
  const shown = new Set(first)
  const tried = ask.excluded.filter((slot) => tierOf(slot) === tier)
  for (let at = 0; pool !== undefined && at < pool.size && shown.size < limits.explainCandidatesMax; at++) {
    const slot = pool.slotAt(at)
    if (!tried.includes(slot)) shown.add(slot)
  }
  return {
    ...about,
    policy: from.policy.name,
    candidates: [...shown].map((slot) => describeCandidate(from.policy, slot, ask, first.includes(slot))),
    candidatesTotal: (pool?.size ?? 0) - tried.length,
    passedOver: passedOver(from, tier, ask),
    endpointsTotal: from.size,
  }
}

function hasUntriedIn(pool: Pool, { excluded }: Ask): boolean {
  for (let at = 0; at < pool.size; at++) if (!excluded.includes(pool.slotAt(at))) return true
  return false
}

function describeCandidate(policy: Policy, slot: EndpointSlot, ask: Ask, compared: boolean): Candidate {
  const terms = Object.entries(policy.terms(slot, ask))
  return {
    endpointId: slot.id,
    compared,
    weight: slot.endpoint.weight,
    charged: slot.charged,
    loadAgeMs: slot.load === undefined ? undefined : Math.max(0, ask.now - slot.load.sampledAt),
    terms: Object.fromEntries(terms.filter((term): term is [string, number] => typeof term[1] === 'number')),
    words: Object.fromEntries(terms.filter((term): term is [string, string] => typeof term[1] === 'string')),
  }
}

function passedOver(from: Candidates, tier: number, ask: Ask): PassedOver[] {
  const groups = new Map<string, PassedOver>()
  let looked = 0
  for (const slot of from.each()) {
    const tried = ask.excluded.includes(slot)
    if (!tried && tier !== NOBODY && tierOf(slot) === tier) continue
    if (++looked > limits.explainLookedAtMax) break
    const why = tried ? 'tried already, or full' : whyPassedOver(slot)
    const group = groups.get(why) ?? { why, count: 0, endpointIds: [] }
    group.count++
    if (group.endpointIds.length < limits.explainNamesMax) group.endpointIds.push(slot.id)
    groups.set(why, group)
  }
  return [...groups.values()]
}

const OUTLIER_WORDS: Readonly<Record<OutlierReason, string>> = {
  'failures-in-row': 'its answers failed one after the other',
  'success-rate': 'it fails far more often than its peers',
  latency: 'its answers begin far later than those of its peers',
}

/** Of an endpoint that was not asked while others were: the worst that is known of it. */
function whyPassedOver({ endpoint, ejected, outlier, trouble }: EndpointSlot): string {
  const { state, freshness, panic } = endpoint
  switch (state) {
    case 'STARTING':
      return 'STARTING: never asked'
    case 'DRAINING':
      return panic === 'may' ? 'DRAINING out of caution: only while nobody serves' : 'DRAINING: never asked'
    case 'FAILED':
      return panic === 'never' ? 'FAILED: never asked' : 'FAILED: only when nobody else is left'
    case 'READY':
    case 'PROBATION':
    case 'BUSY':
      if (ejected) return `this proxy cannot reach it${trouble === '' ? '' : `: ${trouble}`}`
      if (outlier !== undefined) return `left out by this proxy for a while: ${OUTLIER_WORDS[outlier]}`
      if (freshness === 'last-resort') return 'silent for long: last resort'
      return state === 'BUSY' ? 'BUSY while others are not' : 'another is preferred'
    default:
      return state satisfies never
  }
}
