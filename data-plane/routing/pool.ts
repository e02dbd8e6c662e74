/**
 * Endpoints that may serve, ready for weighted draws: two candidates at a time, by the weights that the control plane gave. A pool is several
 * sets that are drawn from as one: the endpoints that name a model, and those that serve every model, which all models share.
 */
import type { Ask } from './ask.ts'
import type { EndpointSlot } from './endpoint-slot.ts'
import { WeightedSet } from './weighted-set.ts'

export class Pool {
  readonly parts: readonly WeightedSet[]

  constructor(parts: readonly WeightedSet[]) {
    this.parts = parts
  }

  get size(): number {
    let size = 0
    for (const part of this.parts) size += part.slots.length
    return size
  }

  get weight(): number {
    let weight = 0
    for (const part of this.parts) weight += part.total
    return weight
  }

  slotAt(index: number): EndpointSlot {
    let at = index
    for (const { slots } of this.parts) {
      if (at < slots.length) return slots[at] as EndpointSlot
      at -= slots.length
    }
    throw new RangeError(`a pool of ${this.size} has no place ${index}`)
  }

  /** An index by weight, for a draw in [0, 1); equal chances when no weight is above zero. */
  drawIndex(draw: number): number {
    const { weight } = this
    if (!(weight > 0)) return Math.min(Math.floor(draw * this.size), this.size - 1)
    let point = draw * weight
    let before = 0
    let last = 0
    for (const part of this.parts) {
      if (point < part.total) return before + part.find(point)
      point -= part.total
      if (part.total > 0) last = before + part.slots.length
      before += part.slots.length
    }
    return last - 1 // a point that rounding pushed beyond the last weight
  }

  has(slot: EndpointSlot): boolean {
    for (const part of this.parts) if (part.has(slot)) return true
    return false
  }

  /** A copy, for what is rare. */
  get slots(): readonly EndpointSlot[] {
    return this.parts.flatMap((part) => part.slots)
  }
}

export const weightOf = (slot: EndpointSlot): number => Math.max(0, slot.endpoint.weight * slot.ramp * slot.trust)

export function createPool(slots: readonly EndpointSlot[]): Pool {
  const set = new WeightedSet()
  for (const slot of slots) set.add(slot, weightOf(slot))
  return new Pool([set])
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
