/**
 * Endpoints that may serve, ready for weighted draws: two candidates at a time, by the weights that the control plane gave. A pool is two sets that
 * are drawn from as one: the endpoints that name a model, and those that serve every model, which all models share.
 */
import type { Ask } from './ask.ts'
import type { EndpointSlot } from './endpoint-slot.ts'
import { WeightedSet } from './weighted-set.ts'

export class Pool {
  readonly parts: readonly WeightedSet[]
  readonly #named: WeightedSet
  readonly #any: WeightedSet

  constructor(named: WeightedSet, any: WeightedSet) {
    this.parts = [named, any]
    this.#named = named
    this.#any = any
  }

  get size(): number {
    return this.#named.slots.length + this.#any.slots.length
  }

  slotAt(index: number): EndpointSlot {
    const named = this.#named.slots
    return (index < named.length ? named[index] : this.#any.slots[index - named.length]) as EndpointSlot
  }

  /** An index by weight, for a draw in [0, 1); equal chances when no weight is above zero. */
  drawIndex(draw: number): number {
    const named = this.#named.total
    const total = named + this.#any.total
    if (!(total > 0)) return Math.min(Math.floor(draw * this.size), this.size - 1)
    const point = draw * total
    if (point < named || this.#any.total <= 0) return this.#named.find(point)
    return this.#named.slots.length + this.#any.find(point - named)
  }

  get weight(): number {
    return this.#named.total + this.#any.total
  }

  has(slot: EndpointSlot): boolean {
    return this.#named.has(slot) || this.#any.has(slot)
  }

  /** A copy, for what is rare. */
  get slots(): readonly EndpointSlot[] {
    return [...this.#named.slots, ...this.#any.slots]
  }
}

export const weightOf = (slot: EndpointSlot): number => Math.max(0, slot.endpoint.weight * slot.ramp * slot.trust)

const NOBODY = new WeightedSet()

export function createPool(slots: readonly EndpointSlot[]): Pool {
  const set = new WeightedSet()
  for (const slot of slots) set.add(slot, weightOf(slot))
  return new Pool(set, NOBODY)
}

/** The better of two different candidates; with one endpoint, that one. `compare` < 0 prefers the first. */
export function betterOfTwo(pool: Pool, { draw, compared }: Ask, compare: (a: EndpointSlot, b: EndpointSlot) => number): EndpointSlot {
  const { size } = pool
  const first = pool.drawIndex(draw())
  const a = pool.slotAt(first)
  if (size === 1) return a
  const second = pool.drawIndex(draw())
  // Drawn twice: its neighbour steps in, so that a lone heavy endpoint is still compared with somebody. A young one waits for a draw of its own.
  const b = pool.slotAt(second === first ? (first + 1 + Math.floor(draw() * (size - 1))) % size : second)
  if (second === first && b.restrained) return a
  compared?.push(a, b)
  return compare(a, b) <= 0 ? a : b
}
