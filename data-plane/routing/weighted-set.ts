/**
 * Endpoints with weights that change one at a time: to add, remove, weigh anew and draw by weight costs O(log n).
 * Invariant: a node of the tree is the sum of its two children, computed from them anew each time, so that no rounding error adds up.
 */
import type { EndpointSlot } from './endpoint-slot.ts'
import { HashRing } from './hash-ring.ts'
import { isSecondsTurn } from './turn.ts'

const CAPACITY_FIRST = 4
/** Of the many sets that stay empty. */
const NO_SUMS = new Float64Array(2)

export class WeightedSet {
  /** In no order that means anything: the last one takes the place of one that leaves. */
  readonly slots: EndpointSlot[] = []
  #capacity = 0
  /** The root is 1, the children of n are 2n and 2n + 1, the leaf of slot i is capacity + i. */
  #sums = NO_SUMS

  /** Kept from when somebody first asks for them. */
  #ring: HashRing | undefined
  #members: Set<EndpointSlot> | undefined

  /** Places that there is room for. */
  get capacity(): number {
    return this.#capacity
  }

  get total(): number {
    return this.#sums[1] as number
  }

  has(slot: EndpointSlot): boolean {
    this.#members ??= new Set(this.slots)
    return this.#members.has(slot)
  }

  /** The same endpoints for those who choose by key. */
  get ring(): HashRing {
    if (this.#ring === undefined) {
      this.#ring = new HashRing(this.slots.length)
      for (const slot of this.slots) this.#ring.add(slot)
    }
    return this.#ring
  }

  /** Answers its place. */
  add(slot: EndpointSlot, weight: number): number {
    const at = this.slots.length
    if (at === this.#capacity) this.#grow()
    this.slots.push(slot)
    this.#set(at, weight)
    this.#ring?.add(slot)
    this.#members?.add(slot)
    return at
  }

  /** Answers who stands there now, if anybody does. */
  removeAt(at: number): EndpointSlot | undefined {
    const end = this.slots.length - 1
    this.#ring?.remove(this.slots[at] as EndpointSlot)
    this.#members?.delete(this.slots[at] as EndpointSlot)
    const last = this.slots.pop()
    const weight = this.#sums[this.#capacity + end] as number
    this.#set(end, 0)
    if (at === end || last === undefined) return undefined
    this.slots[at] = last
    this.#set(at, weight)
    return last
  }

  weightAt(at: number): number {
    return this.#sums[this.#capacity + at] as number
  }

  weigh(at: number, weight: number): void {
    this.#set(at, weight)
    this.#ring?.weigh(this.slots[at] as EndpointSlot)
  }

  #set(at: number, weight: number): void {
    const sums = this.#sums
    let node = this.#capacity + at
    sums[node] = weight
    for (node >>>= 1; node >= 1; node >>>= 1) sums[node] = (sums[2 * node] as number) + (sums[2 * node + 1] as number)
  }

  /** The place at a point of the running sum, which lies in [0, total). */
  find(point: number): number {
    const sums = this.#sums
    const leaves = this.#capacity
    let node = 1
    while (node < leaves) {
      node *= 2
      const left = sums[node] as number
      // A point that rounding pushed beyond the last weight stays with it.
      if (point >= left && (sums[node + 1] as number) > 0) {
        point -= left
        node++
      }
    }
    return node - leaves
  }

  /** The place whose turn it is: at each branch its two sides take turns by their sums. `turns` is the caller's, and has `capacity` numbers. */
  turn(turns: Float64Array): number {
    const sums = this.#sums
    const leaves = this.#capacity
    let node = 1
    while (node < leaves) {
      const second = sums[2 * node + 1] as number
      node = 2 * node + (second > 0 && isSecondsTurn(turns, node, sums[2 * node] as number, second) ? 1 : 0)
    }
    return node - leaves
  }

  #grow(): void {
    const before = this.#sums
    const half = this.#capacity
    this.#capacity = Math.max(CAPACITY_FIRST, 2 * half)
    this.#sums = new Float64Array(2 * this.#capacity)
    this.#sums.set(before.subarray(half, 2 * half), this.#capacity)
    for (let node = this.#capacity - 1; node >= 1; node--)
      this.#sums[node] = (this.#sums[2 * node] as number) + (this.#sums[2 * node + 1] as number)
  }
}
