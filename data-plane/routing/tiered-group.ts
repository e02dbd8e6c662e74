/**
 * The endpoints of one model, each in the tier in which it may be asked: those that serve, the busy, the last resort, those that this proxy keeps
 * away from by what it saw of them itself, and, only when nothing else is left, those that are called FAILED: a model of which everything looks broken is still tried. DRAINING and
 * STARTING are in none: they are never asked, unless the control plane says that a drain is mere caution. Whoever may not be asked in panic never is. Within each tier they stand
 * by how far they are (zones.ts).
 */
import { limits } from '../../core/limits.ts'
import type { EndpointSlot } from './endpoint-slot.ts'
import { weightOf } from './pool.ts'
import { WeightedSet } from './weighted-set.ts'

export const TIERS = 5
/** The first of them hold nobody whom this proxy or the control plane takes for broken. */
export const SERVING_TIERS = 3
const NO_TIER = -1
/** Beyond the tiers: part of what a level should be able to do, and not asked. One that never was ready is no part of it yet. */
const MISSING = TIERS
const LEVELS = limits.zoneLevelsMax
const NO_SET = -1

type Place = { set: number; at: number }

export class TieredGroup {
  readonly #sets: readonly WeightedSet[] = Array.from({ length: (TIERS + 1) * LEVELS }, () => new WeightedSet())
  /** By level: endpoints that are not in the first tier and weigh nothing, as the control plane weighs what failed. */
  readonly #weightless = new Uint32Array(LEVELS)
  readonly #places = new Map<EndpointSlot, Place>()

  /** Those in no tier too. */
  get size(): number {
    return this.#places.size
  }

  has(slot: EndpointSlot): boolean {
    return this.#places.has(slot)
  }

  get slots(): Iterable<EndpointSlot> {
    return this.#places.keys()
  }

  at(tier: number, level: number): WeightedSet {
    return this.#sets[tier * LEVELS + level] as WeightedSet
  }

  /** What those weigh that a level should have, in whatever tier they are. */
  weightAt(level: number): number {
    let weight = 0
    for (let tier = 0; tier <= MISSING; tier++) weight += this.at(tier, level).total
    return weight
  }

  weightlessAt(level: number): number {
    return this.#weightless[level] as number
  }

  /** Takes it in, or moves it to where it belongs now. */
  put(slot: EndpointSlot): void {
    const set = setOf(slot)
    const place = this.#places.get(slot)
    if (place !== undefined) {
      if (place.set === set) {
        this.#count(place, -1)
        this.#sets[set]?.weigh(place.at, weightOf(slot))
        this.#count(place, 1)
        return
      }
      this.#leave(place)
    }
    slot.moves++
    const fresh = { set, at: this.#sets[set]?.add(slot, weightOf(slot)) ?? 0 }
    this.#places.set(slot, fresh)
    this.#count(fresh, 1)
  }

  drop(slot: EndpointSlot): void {
    const place = this.#places.get(slot)
    if (place === undefined) return
    slot.moves++
    this.#leave(place)
    this.#places.delete(slot)
  }

  #leave(place: Place): void {
    this.#count(place, -1)
    const moved = this.#sets[place.set]?.removeAt(place.at)
    const movedPlace = moved === undefined ? undefined : this.#places.get(moved)
    if (movedPlace !== undefined) movedPlace.at = place.at
  }

  #count({ set, at }: Place, by: number): void {
    if (set < LEVELS || (this.#sets[set]?.weightAt(at) ?? 1) > 0) return
    const level = set % LEVELS
    this.#weightless[level] = (this.#weightless[level] as number) + by
  }
}

function setOf(slot: EndpointSlot): number {
  const tier = tierOf(slot)
  if (tier !== NO_TIER) return tier * LEVELS + slot.level
  return slot.endpoint.state === 'STARTING' ? NO_SET : MISSING * LEVELS + slot.level
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
