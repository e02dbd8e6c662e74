/**
 * Where the longest beginning of the prompt already is, but only among those who wait about as little as the least: a cache that is warm and busy costs more
 * than it saves, and a fleet that goes by warmth alone runs into its first endpoint until that breaks. A miss means least load, nothing else.
 * The window: an endpoint is taken for its warmth while its work is at most 4 requests, or a quarter, above what the least loaded of two drawn has, each by
 * its rate. Work is what this proxy holds against it, or what its last report says where that is more.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { EndpointSlot } from './endpoint-slot.ts'
import { rate } from './least-request.ts'
import type { Policy } from './policy.ts'
import type { PrefixIndex } from './prefix-index.ts'

const EXCESS = 0.25
const FREE = 4
/** Owners of the prompt's beginning that are looked at. */
const OWNERS_MAX = 8

/** `onMiss` is asked where nobody has the beginning and the request says something else to go by. */
export function prefix(otherwise: Policy, index: PrefixIndex, onMiss = otherwise): Policy {
  return {
    name: 'PREFIX',
    choose(pool, ask) {
      const least = otherwise.choose(pool, ask)
      const { prompt } = ask
      const missed = (): EndpointSlot => (ask.adapter === undefined ? least : onMiss.choose(pool, ask))
      if (prompt === undefined || prompt.length === 0) return missed()
      const owners = index.longest(prompt, OWNERS_MAX)
      const warm = owners.find((slot) => pool.has(slot) && !ask.excluded.includes(slot) && isNearLeast(slot, least, ask.now))
      const chosen = warm ?? missed()
      ask.compared?.push(chosen)
      // Whoever was tried already is not asked, whatever is answered here: the pick goes on.
      if (ask.excluded.includes(chosen)) return chosen
      const { tally } = index
      if (warm !== undefined) tally.warm++
      else if (owners.length > 0) tally.busy++
      else tally.cold++
      index.record(chosen, prompt)
      return chosen
    },
    terms: (slot, ask) => ({ blocks: ask.prompt?.length ?? 0, ...otherwise.terms(slot, ask) }),
  }
}

export function isNearLeast(slot: EndpointSlot, least: EndpointSlot, now: Millis): boolean {
  const equal = (workOf(least, now) * rate(slot)) / rate(least)
  return slot === least || workOf(slot, now) <= Math.max(equal + FREE, equal * (1 + EXCESS))
}

function workOf(slot: EndpointSlot, now: Millis): number {
  const { load } = slot
  if (load === undefined || now - load.sampledAt > limits.loadAgeMax) return slot.charged
  return Math.max(slot.charged, (load.load.queueDepth ?? 0) + (load.load.running ?? 0))
}
