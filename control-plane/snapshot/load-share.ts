/**
 * Decides whose loads each proxy is told when all loads to all proxies would be too much. Endpoints lie in buckets. Proxies that came one after the
 * other share out all buckets among them, in another order from one such round to the next: every endpoint's load is known to about as many
 * proxies, and no two rounds of proxies see the fleet cut the same way. Membership and states always go to all.
 * Invariant: a proxy that stays keeps its share while neither fleet nor proxies double or halve. One owner: the control loop.
 */
import { limits } from '../../core/limits.ts'
import type { StreamId } from '../state.ts'

export const BUCKETS = 64

const PRIME = 0x01000193
const OFFSET = 0x811c9dc5

/** By the id alone, so that an endpoint that leaves and returns is where it was. */
export function bucketOf(id: string): number {
  let hash = OFFSET
  for (let at = 0; at < id.length; at++) hash = Math.imul(hash ^ id.charCodeAt(at), PRIME)
  return ((hash >>> 16) ^ hash) & (BUCKETS - 1)
}

/** How many buckets each proxy is told of: as many as the budget allows, and enough to choose from. A power of two, so that rounds come out even. */
export function bucketsEach(endpoints: number, proxies: number): number {
  const { loadRowsPerSecondMax, loadRowsMin, loadHearersMin, loadRefreshPeriod } = limits
  const budget = (loadRowsPerSecondMax * loadRefreshPeriod) / 1_000
  const share = Math.max(budget / (endpoints * proxies), loadRowsMin / endpoints, loadHearersMin / proxies)
  if (!(share < 1)) return BUCKETS
  return 2 ** Math.ceil(Math.log2(share * BUCKETS))
}

export class LoadShares {
  readonly #places = new Map<StreamId, number>()
  readonly #taken = new Set<number>()
  readonly #orders: (readonly number[])[] = []

  /** Streams that are gone give their place to the next that come. */
  retain(streams: ReadonlyMap<StreamId, unknown>): void {
    if (this.#places.size <= streams.size) return
    for (const [stream, place] of this.#places)
      if (!streams.has(stream)) {
        this.#places.delete(stream)
        this.#taken.delete(place)
      }
  }

  of(stream: StreamId, each: number): readonly number[] {
    const place = this.#placeOf(stream)
    const inRound = BUCKETS / each
    const first = (place % inRound) * each
    return this.#order(Math.floor(place / inRound)).slice(first, first + each)
  }

  #placeOf(stream: StreamId): number {
    const known = this.#places.get(stream)
    if (known !== undefined) return known
    let place = 0
    while (this.#taken.has(place)) place++
    this.#places.set(stream, place)
    this.#taken.add(place)
    return place
  }

  #order(round: number): readonly number[] {
    const known = this.#orders[round]
    if (known !== undefined) return known
    const order = shuffled(round)
    this.#orders[round] = order
    return order
  }
}

/** The same for the same round. */
function shuffled(round: number): readonly number[] {
  const order = Array.from({ length: BUCKETS }, (_, at) => at)
  let state = Math.imul(round + 1, PRIME) ^ OFFSET
  for (let at = BUCKETS - 1; at > 0; at--) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    const other = Math.floor((state / 2 ** 32) * (at + 1))
    const kept = order[at] as number
    order[at] = order[other] as number
    order[other] = kept
  }
  return order
}
