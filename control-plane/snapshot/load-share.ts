/**
 * Decides whose loads each proxy is told when all loads to all proxies would be too much. Endpoints lie in buckets. Proxies that came one after the
 * other share out all buckets among them, in another order from one such round to the next: every endpoint's load is known to about as many
 * proxies, and rounds that follow one another see the fleet cut in different ways. Membership and states always go to all.
 * Invariant: a proxy that stays keeps its share while neither fleet nor proxies double or halve. One owner: the control loop.
 */
import { limits } from '../../core/limits.ts'
import type { StreamId } from '../state.ts'

export const BUCKETS = 64
/** Ways to cut the fleet: enough that the proxies of an endpoint are not always the same, few enough that many share a message. */
const ORDERS = 4
export const GROUPS_MAX = ORDERS * BUCKETS
/** A fleet at the edge between two sizes of a part stays with the one that it has: another one is told from scratch. */
const SLACK = 1.25

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
  const wanted = bucketsWanted(endpoints, proxies)
  return wanted < BUCKETS ? 2 ** Math.ceil(Math.log2(wanted)) : BUCKETS
}

function bucketsWanted(endpoints: number, proxies: number): number {
  const { loadRowsPerSecondMax, loadRowsMin, loadHearersMin, loadRefreshPeriod } = limits
  const budget = (loadRowsPerSecondMax * loadRefreshPeriod) / 1_000
  const share = Math.max(budget / (endpoints * proxies), loadRowsMin / endpoints, loadHearersMin / proxies)
  return share < 1 ? share * BUCKETS : BUCKETS
}

export class LoadShares {
  readonly #places = new Map<StreamId, number>()
  readonly #taken = new Set<number>()
  readonly #orders: (readonly number[])[] = []
  #each = BUCKETS

  /** As `bucketsEach`, but what it was before as long as that is about right. */
  each(endpoints: number, proxies: number): number {
    const wanted = bucketsWanted(endpoints, proxies)
    if (wanted > this.#each * SLACK || wanted <= this.#each / 2 / SLACK) this.#each = bucketsEach(endpoints, proxies)
    return this.#each
  }

  /** Streams that are gone give their place to the next that come. */
  retain(streams: ReadonlyMap<StreamId, unknown>): void {
    if (this.#places.size <= streams.size) return
    for (const [stream, place] of this.#places)
      if (!streams.has(stream)) {
        this.#places.delete(stream)
        this.#taken.delete(place)
      }
  }

  /** Proxies of one group are told the same, so that it is laid out once. */
  groupOf(stream: StreamId, each: number): number {
    const place = this.#placeOf(stream)
    const inRound = BUCKETS / each
    return (Math.floor(place / inRound) % ORDERS) * inRound + (place % inRound)
  }

  of(group: number, each: number): readonly number[] {
    const inRound = BUCKETS / each
    const first = (group % inRound) * each
    return this.#order(Math.floor(group / inRound)).slice(first, first + each)
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
