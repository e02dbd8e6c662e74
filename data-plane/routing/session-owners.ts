/**
 * Which endpoint serves a session of a model whose row pins them: the nearest to its key over the model's whole membership, whatever their load, so that
 * proxies agree without asking one another. What this worker has seen begin stays where it is, also when endpoints join, come back or drain; a session
 * moves only when its owner is FAILED, gone, or out of this proxy's reach.
 */
import { limits } from '../../core/limits.ts'
import type { EndpointSlot } from './endpoint-slot.ts'
import { Nearest } from './hash-ring.ts'
import type { Pool } from './pool.ts'
import { SERVING_TIERS } from './tiered-group.ts'

export class SessionOwners {
  /** In the order of their last use: the one that was silent for longest is forgotten first, and found by its key. */
  readonly #known = new Map<string, EndpointSlot>()

  get size(): number {
    return this.#known.size
  }

  /**
   * Undefined when the owner was tried in vain and lives, and when there is nobody. `lost`: those that were tried lost their connection, which this
   * proxy is only about to conclude from.
   */
  ownerOf(model: string, key: number, tiers: readonly Pool[], excluded: readonly EndpointSlot[], lost: boolean): EndpointSlot | undefined {
    const name = `${model}\n${key}`
    const known = this.#known.get(name)
    this.#known.delete(name)
    const mayOwn = (slot: EndpointSlot): boolean => isThere(slot) && !(lost && excluded.includes(slot))
    const owner =
      known !== undefined && mayOwn(known)
        ? known
        : nearestOf(tiers.slice(0, SERVING_TIERS), key, (slot) => mayOwn(slot) && slot.endpoint.state !== 'DRAINING')
    if (owner === undefined) return inPanic(tiers, key, excluded)
    this.#known.set(name, owner)
    if (this.#known.size > limits.sessionsKnownMax) this.#known.delete(this.#known.keys().next().value as string)
    return excluded.includes(owner) ? undefined : owner
  }
}

const isThere = ({ gone, ejected, endpoint }: EndpointSlot): boolean =>
  !gone && !ejected && endpoint.state !== 'FAILED' && endpoint.state !== 'STARTING'

/** Those that look broken are asked in turn, and own nothing by it. */
function inPanic(tiers: readonly Pool[], key: number, excluded: readonly EndpointSlot[]): EndpointSlot | undefined {
  for (const tier of tiers) {
    const slot = nearestOf([tier], key, (one) => !excluded.includes(one))
    if (slot !== undefined) return slot
  }
  return undefined
}

function nearestOf(pools: readonly Pool[], key: number, fits: (slot: EndpointSlot) => boolean): EndpointSlot | undefined {
  const nearest = new Nearest()
  for (const { parts } of pools) for (const { ring } of parts) ring.search(key, nearest, fits)
  return nearest.slot
}
