/**
 * Which endpoint serves a sequence. By rendezvous hashing over all endpoints of the model, so that proxies that know nothing of each other agree; what this
 * worker has seen begin stays where it began, also when endpoints join or the owner drains. A sequence moves only when its owner is FAILED or gone.
 */
import { limits } from '../../core/limits.ts'
import type { Sequence } from '../grpc/sequence.ts'
import type { EndpointSlot } from './endpoint-slot.ts'

export class SequenceOwners {
  /** In the order of their last use: the one that was silent for longest is forgotten first, and found by its hash. */
  readonly #known = new Map<string, EndpointSlot>()

  get size(): number {
    return this.#known.size
  }

  /** Undefined when no endpoint can be asked. `excluded` is heeded at a sequence's start only: later ones mean nothing to another server. */
  ownerOf(model: string, sequence: Sequence, slots: Iterable<EndpointSlot>, excluded: readonly EndpointSlot[]): EndpointSlot | undefined {
    const key = `${model}\n${sequence.id}`
    const known = this.#known.get(key)
    this.#known.delete(key)
    const owner =
      !sequence.starts && known !== undefined && isThere(known)
        ? known
        : rendezvous(key, slots, (slot) => isThere(slot) && (!sequence.starts || (mayBegin(slot) && !excluded.includes(slot))))
    if (owner === undefined || (!sequence.starts && excluded.includes(owner))) return undefined
    if (sequence.ends) return owner
    this.#known.set(key, owner)
    if (this.#known.size > limits.sequencesKnownMax) this.#known.delete(this.#known.keys().next().value as string)
    return owner
  }
}

const isThere = ({ gone, endpoint }: EndpointSlot): boolean => !gone && endpoint.state !== 'FAILED' && endpoint.state !== 'STARTING'
const mayBegin = ({ endpoint }: EndpointSlot): boolean => endpoint.state !== 'DRAINING'

/** The highest of the hashes of key and endpoint: when an endpoint goes, only its own sequences move. */
function rendezvous(key: string, slots: Iterable<EndpointSlot>, fits: (slot: EndpointSlot) => boolean): EndpointSlot | undefined {
  const seed = hash(key, 0x811c9dc5)
  let best: EndpointSlot | undefined
  let bestScore = -1
  for (const slot of slots) {
    if (!fits(slot)) continue
    const score = mix(hash(slot.id, seed))
    if (score > bestScore || (score === bestScore && best !== undefined && slot.id < best.id)) {
      best = slot
      bestScore = score
    }
  }
  return best
}

/** FNV-1a, by UTF-16 units. */
function hash(text: string, seed: number): number {
  let value = seed
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193)
  return value
}

/** The finish of MurmurHash3: FNV alone leaves the high bits of short texts alike. */
function mix(value: number): number {
  let mixed = value ^ (value >>> 16)
  mixed = Math.imul(mixed, 0x85ebca6b)
  mixed ^= mixed >>> 13
  mixed = Math.imul(mixed, 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
