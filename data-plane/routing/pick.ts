/** Whom a request is sent to: the tiers decide who may be asked, the model's policy whom of them. */
import type { Ask } from './ask.ts'
import type { EndpointSlot } from './endpoint-slot.ts'
import type { Candidates } from './model-groups.ts'
import type { Policy } from './policy.ts'
import { createPool, type Pool } from './pool.ts'

/** The first tier with somebody who was not tried yet decides. */
export function pick({ tiers, policy }: Candidates, ask: Ask): EndpointSlot | undefined {
  for (let at = 0; at < tiers.length; at++) {
    const tier = tiers[at] as Pool
    if (tier.size === 0) continue
    if (ask.excluded.length === 0) return policy.choose(tier, ask)
    const slot = chooseUntried(policy, tier, ask)
    if (slot !== undefined) return slot
  }
  return undefined
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
