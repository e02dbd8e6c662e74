/** Whom a request is sent to: the tiers decide who may be asked, the levels how far away, the model's policy whom of them. */
import type { Ask } from './ask.ts'
import type { EndpointSlot } from './endpoint-slot.ts'
import type { Candidates } from './model-groups.ts'
import type { Policy } from './policy.ts'
import { createPool, type Pool } from './pool.ts'

/** The first tier with somebody who was not tried yet decides. */
export function pick(candidates: Candidates, ask: Ask): EndpointSlot | undefined {
  const { tiers, levels, policy } = candidates
  for (let tier = 0; tier < tiers.length; tier++) {
    const pool = levels === 1 ? candidates.poolAt(tier, 0) : (tiers[tier] as Pool)
    if (pool.size === 0) continue
    const slot = levels === 1 || policy.anyZone === true ? pickFrom(pool, policy, ask) : pickByLevel(candidates, tier, ask)
    if (slot !== undefined) return slot
  }
  return undefined
}

/** Where all of the level were tried whose turn it is, the nearest level that has another one. */
function pickByLevel(candidates: Candidates, tier: number, ask: Ask): EndpointSlot | undefined {
  const { levels, policy } = candidates
  const first = candidates.levelFor(tier, ask.draw())
  const slot = pickFrom(candidates.poolAt(tier, first), policy, ask)
  if (slot !== undefined) return slot
  for (let level = 0; level < levels; level++) {
    const other = level === first ? undefined : pickFrom(candidates.poolAt(tier, level), policy, ask)
    if (other !== undefined) return other
  }
  return undefined
}

function pickFrom(pool: Pool, policy: Policy, ask: Ask): EndpointSlot | undefined {
  if (pool.size === 0) return undefined
  return ask.excluded.length === 0 ? policy.choose(pool, ask) : chooseUntried(policy, pool, ask)
}

const REDRAWS = 8

/** Where few of many were tried, to draw again is cheaper than to gather the rest; the rest is gathered when luck is bad, or they are few. */
function chooseUntried(policy: Policy, tier: Pool, ask: Ask): EndpointSlot | undefined {
  const { excluded } = ask
  if (tier.size > REDRAWS * excluded.length)
    for (let tries = 0; tries < REDRAWS; tries++) {
      const slot = policy.choose(tier, ask)
      if (!excluded.includes(slot)) return slot
    }
  const rest = tier.slots.filter((slot) => !excluded.includes(slot))
  return rest.length === 0 ? undefined : policy.choose(createPool(rest), ask)
}

export function hasUntried(from: Candidates, excluded: readonly EndpointSlot[]): boolean {
  for (const tier of from.tiers) for (let at = 0; at < tier.size; at++) if (!excluded.includes(tier.slotAt(at))) return true
  return false
}
