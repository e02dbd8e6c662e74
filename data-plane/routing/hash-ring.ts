/**
 * To which endpoint a key belongs. Every endpoint has POINTS places on a circle of 2³² steps, a key looks around from PROBES places, and the endpoint that is
 * the fewest steps ahead for its weight has the key (multi-probe consistent hashing, Appleton and O'Reilly 2015, with weights as in rendezvous hashing).
 * Invariant: an endpoint's score depends on the key, its id and its weight alone. So whoever knows the same endpoints agrees, in whatever order they came;
 * who leaves or loses weight gives up only keys of its own, who comes or gains takes only what it keeps, and no key moves between two others.
 */

import { hashText, mix } from '../../core/key-hash.ts'
import type { EndpointSlot } from './endpoint-slot.ts'

const POINTS_LOG2 = 4
const POINTS = 1 << POINTS_LOG2
const PROBES = 8
/** Odd, so that the places of one endpoint, and those of one key, are all different before they are mixed. */
const POINT_STEP = 0x9e3779b1
const PROBE_STEP = 0x85ebca77
const MEMBERS_FIRST = 4
const NOBODY = -1
/** Weight zero takes no share while others can: with this the chance is nil. */
const WEIGHT_LEAST = 1e-9
/** Who was found not to fit, in one search; behind so many nobody is sought any further. */
const REFUSED_MAX = 512
/** Members whose charges are read anew in one look. */
const LOOK = 32

/** The best of a search that may go over several rings. */
export class Nearest {
  slot: EndpointSlot | undefined = undefined
  score = Number.POSITIVE_INFINITY
  refused = 0
}

export class HashRing {
  /** Sum of the members' weights. */
  weight = 0
  /** What the members hold in all, nearly: each look reads some of them anew, all of them where there are few. */
  held = 0
  readonly #indexes = new Map<EndpointSlot, number>()
  readonly #slots: (EndpointSlot | undefined)[] = []
  readonly #free: number[] = []
  #weights = new Float64Array(0)
  /** Steps are multiplied by it: quicker than to divide by the weight. */
  #lengths = new Float64Array(0)
  #charges = new Float64Array(0)
  /** Each bucket is a slice of the circle with a chain of its points, in no order. */
  #heads = new Int32Array(0)
  /** Of each point its place and the next of its chain, side by side: both are in one line of the cache. Point p is of member p >> POINTS_LOG2. */
  #points = new Int32Array(0)
  #shift = 32
  /** No member weighs more; one that did so may have left. */
  #heaviest = 0
  #heaviestLeft = false
  #cursor = 0

  /** How many will be added at once, so that room is made once. */
  constructor(expected: number) {
    this.#makeRoom(Math.max(MEMBERS_FIRST, expected))
  }

  add(slot: EndpointSlot): void {
    const index = this.#free.pop() ?? this.#slots.length
    if (index === this.#weights.length) this.#makeRoom(2 * index)
    this.#slots[index] = slot
    this.#indexes.set(slot, index)
    this.#weights[index] = 0
    this.#weighAt(index, slot.endpoint.weight)
    this.#charges[index] = slot.charged
    this.held += slot.charged
    const seed = hashText(slot.id)
    for (let i = 0; i < POINTS; i++) {
      const point = (index << POINTS_LOG2) + i
      this.#points[2 * point] = mix(seed + Math.imul(i, POINT_STEP))
      this.#link(point)
    }
  }

  remove(slot: EndpointSlot): void {
    const index = this.#indexes.get(slot)
    if (index === undefined) return
    for (let i = 0; i < POINTS; i++) this.#unlink((index << POINTS_LOG2) + i)
    const weight = this.#weights[index] as number
    if (weight >= this.#heaviest) this.#heaviestLeft = true
    this.#indexes.delete(slot)
    this.#slots[index] = undefined
    this.#free.push(index)
    // Nobody is exactly nothing, whatever was rounded on the way.
    this.weight = this.#indexes.size === 0 ? 0 : this.weight - weight
    this.held = this.#indexes.size === 0 ? 0 : this.held - (this.#charges[index] as number)
  }

  /** Its weight is perhaps another one. What this proxy alone thinks of an endpoint is no part of it: others would not agree. */
  weigh(slot: EndpointSlot): void {
    const index = this.#indexes.get(slot)
    if (index !== undefined) this.#weighAt(index, slot.endpoint.weight)
  }

  /** Reads some charges anew. */
  look(): void {
    const size = this.#slots.length
    for (let looks = Math.min(LOOK, size); looks > 0; looks--) {
      this.#cursor = this.#cursor + 1 < size ? this.#cursor + 1 : 0
      const slot = this.#slots[this.#cursor]
      if (slot === undefined) continue
      const charged = slot.charged
      this.held += charged - (this.#charges[this.#cursor] as number)
      this.#charges[this.#cursor] = charged
    }
  }

  /** Whoever is nearer to the key than what was found so far, and fits, takes its place. */
  search(key: number, found: Nearest, fits?: (slot: EndpointSlot) => boolean): void {
    if (this.#indexes.size === 0) return
    if (this.#heaviestLeft) this.#findHeaviest()
    const heads = this.#heads
    const points = this.#points
    const lengths = this.#lengths
    const shift = this.#shift
    let reach = found.score * this.#heaviest
    for (let probe = 0; probe < PROBES && found.refused < REFUSED_MAX; probe++) {
      const from = probePlace(key, probe)
      let bucket = from >>> shift
      for (let looked = 0; looked < heads.length && found.refused < REFUSED_MAX; looked++) {
        for (let point = heads[bucket] as number; point !== NOBODY; point = points[2 * point + 1] as number) {
          const member = point >> POINTS_LOG2
          const score = (((points[2 * point] as number) - from) >>> 0) * (lengths[member] as number)
          if (score > found.score) continue
          consider(found, this.#slots[member] as EndpointSlot, score, fits)
          reach = found.score * this.#heaviest
        }
        bucket = bucket + 1 < heads.length ? bucket + 1 : 0
        // From here on everybody is farther, whatever the weight.
        if (((bucket << shift) - from) >>> 0 > reach) break
      }
    }
  }

  #weighAt(index: number, weight: number): void {
    const before = this.#weights[index] as number
    const after = Math.max(weight, WEIGHT_LEAST)
    this.#weights[index] = after
    this.#lengths[index] = 1 / after
    this.weight += after - before
    if (after >= this.#heaviest) this.#heaviest = after
    else if (before >= this.#heaviest) this.#heaviestLeft = true
  }

  #findHeaviest(): void {
    this.#heaviestLeft = false
    this.#heaviest = 0
    for (const index of this.#indexes.values()) this.#heaviest = Math.max(this.#heaviest, this.#weights[index] as number)
  }

  #link(point: number): void {
    const bucket = (this.#points[2 * point] as number) >>> this.#shift
    this.#points[2 * point + 1] = this.#heads[bucket] as number
    this.#heads[bucket] = point
  }

  #unlink(point: number): void {
    const points = this.#points
    const bucket = (points[2 * point] as number) >>> this.#shift
    const after = points[2 * point + 1] as number
    let before = this.#heads[bucket] as number
    if (before === point) {
      this.#heads[bucket] = after
      return
    }
    while (points[2 * before + 1] !== point) before = points[2 * before + 1] as number
    points[2 * before + 1] = after
  }

  /** A bucket for every point, so that a chain is short. */
  #makeRoom(members: number): void {
    this.#weights = copied(this.#weights, new Float64Array(members))
    this.#lengths = copied(this.#lengths, new Float64Array(members))
    this.#charges = copied(this.#charges, new Float64Array(members))
    this.#points = copied(this.#points, new Int32Array(2 * members * POINTS))
    this.#shift = Math.clz32(members * POINTS - 1)
    this.#heads = new Int32Array(2 ** (32 - this.#shift)).fill(NOBODY)
    for (const index of this.#indexes.values()) for (let i = 0; i < POINTS; i++) this.#link((index << POINTS_LOG2) + i)
  }
}

const probePlace = (key: number, probe: number): number => mix(key ^ Math.imul(probe + 1, PROBE_STEP))

function consider(found: Nearest, slot: EndpointSlot, score: number, fits: ((slot: EndpointSlot) => boolean) | undefined): void {
  if (slot === found.slot) {
    found.score = score
    return
  }
  // Two at exactly the same distance: everybody names the same one.
  if (score === found.score && found.slot !== undefined && found.slot.id < slot.id) return
  if (fits !== undefined && !fits(slot)) {
    found.refused++
    return
  }
  found.slot = slot
  found.score = score
}

function copied<Kind extends Float64Array | Int32Array>(from: Kind, to: Kind): Kind {
  to.set(from)
  return to
}
