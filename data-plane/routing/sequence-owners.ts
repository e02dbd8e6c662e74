/**
 * Which endpoint serves a sequence. By rendezvous hashing over all endpoints of the model, so that proxies that know nothing of each other agree; what this
 * worker has seen begin stays where it began, also when endpoints join or the owner drains. A sequence moves only when its owner is FAILED or gone.
 */

import { hashText, mix } from '../../core/key-hash.ts'
import { limits } from '../../core/limits.ts'
import type { Sequence } from '../grpc/sequence.ts'
import type { EndpointSlot } from './endpoint-slot.ts'

/** All endpoints of the model; asked for only when the owner has to be found. */
export type Members = { readonly slots: Iterable<EndpointSlot> }

export class SequenceOwners {
  /** In the order of their last use: the one that was silent for longest is forgotten first, and found by its hash. */
  readonly #known = new Map<string, EndpointSlot>()

  get size(): number {
    return this.#known.size
  }

  /** Undefined when no endpoint can be asked. `excluded` is heeded at a sequence's start only: later ones mean nothing to another server. */
  ownerOf(model: string, sequence: Sequence, members: Members, excluded: readonly EndpointSlot[]): EndpointSlot | undefined {
    const key = `${model}\n${sequence.id}`
    const known = this.#known.get(key)
    this.#known.delete(key)
    const owner =
      !sequence.starts && known !== undefined && isThere(known)
        ? known
        : rendezvous(key, members.slots, (slot) => isThere(slot) && (!sequence.starts || (mayBegin(slot) && !excluded.includes(slot))))
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
  const seed = hashText(key)
  let best: EndpointSlot | undefined
  let bestScore = -1
  for (const slot of slots) {
    if (!fits(slot)) continue
    const score = mix(hashText(slot.id, seed))
    if (score > bestScore || (score === bestScore && best !== undefined && slot.id < best.id)) {
      best = slot
      bestScore = score
    }
  }
  return best
}
