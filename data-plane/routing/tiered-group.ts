/**
 * The endpoints of one model, each in the tier in which it may be asked: those that serve, the busy, the last resort, those that this proxy keeps
 * away from by what it saw of them itself, and, only when nothing else is left, those that are called FAILED: a model of which everything looks broken is still tried. DRAINING and
 * STARTING are in none: they are never asked, unless the control plane says that a drain is mere caution. Whoever may not be asked in panic never is.
 */
import type { EndpointSlot } from './endpoint-slot.ts'
import { weightOf } from './pool.ts'
import { WeightedSet } from './weighted-set.ts'

export const TIERS = 5
/** The first of them hold nobody whom this proxy or the control plane takes for broken. */
export const SERVING_TIERS = 3
const NO_TIER = -1

type Place = { tier: number; at: number }

export class TieredGroup {
  readonly tiers: readonly WeightedSet[] = Array.from({ length: TIERS }, () => new WeightedSet())
  readonly #places = new Map<EndpointSlot, Place>()

  /** Those in no tier too. */
  get size(): number {
    return this.#places.size
  }

  get slots(): Iterable<EndpointSlot> {
    return this.#places.keys()
  }

  /** Takes it in, or moves it to where it belongs now. */
  put(slot: EndpointSlot): void {
    const tier = tierOf(slot)
    const place = this.#places.get(slot)
    if (place !== undefined && place.tier === tier) {
      this.tiers[tier]?.weigh(place.at, weightOf(slot))
      return
    }
    slot.moves++
    if (place !== undefined) this.#leave(place)
    const at = this.tiers[tier]?.add(slot, weightOf(slot)) ?? 0
    if (place === undefined) this.#places.set(slot, { tier, at })
    else {
      place.tier = tier
      place.at = at
    }
  }

  drop(slot: EndpointSlot): void {
    const place = this.#places.get(slot)
    if (place === undefined) return
    slot.moves++
    this.#leave(place)
    this.#places.delete(slot)
  }

  #leave({ tier, at }: Place): void {
    const moved = this.tiers[tier]?.removeAt(at)
    const place = moved === undefined ? undefined : this.#places.get(moved)
    if (place !== undefined) place.at = at
  }
}

/** 0 serves … 4 only in panic; below 0 never. */
export function tierOf(slot: EndpointSlot): number {
  const { state, freshness, panic } = slot.endpoint
  switch (state) {
    case 'STARTING':
      return NO_TIER
    case 'DRAINING':
      if (panic !== 'may') return NO_TIER
      return slot.awayFor === undefined ? 2 : 3
    case 'FAILED':
      return panic === 'never' ? NO_TIER : 4
    case 'READY':
    case 'PROBATION':
    case 'BUSY':
      if (slot.awayFor !== undefined) return 3
      if (freshness === 'last-resort') return 2
      return state === 'BUSY' ? 1 : 0
    default:
      return state satisfies never
  }
}
