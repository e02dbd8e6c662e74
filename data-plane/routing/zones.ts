/**
 * How far endpoints are from this proxy, in levels: 0 is its own zone, and what has no zone; then the zones that its order names; all others come last. A
 * proxy without a zone takes everything as near.
 */
import type { ZoneOrder } from '../../core/mesh-snapshot.ts'

export class ZoneLevels {
  readonly count: number
  readonly #own: string
  readonly #named: readonly (readonly string[])[]
  readonly #levels = new Map<string, number>()

  constructor(own: string, order: ZoneOrder = {}) {
    this.#own = own
    this.#named = own === '' || !Object.hasOwn(order, own) ? [] : (order[own] ?? [])
    this.count = own === '' ? 1 : this.#named.length + 2
    for (const [at, zones] of this.#named.entries()) for (const zone of zones) this.#levels.set(zone, at + 1)
  }

  levelOf(zone: string): number {
    if (zone === '' || zone === this.#own) return 0
    return this.#levels.get(zone) ?? this.count - 1
  }

  sameAs(other: ZoneLevels): boolean {
    return (
      this.count === other.count &&
      [...this.#levels].every(([zone, level]) => other.levelOf(zone) === level) &&
      this.#levels.size === other.#levels.size
    )
  }
}

/** Envoy's overprovisioning: a level stands in for itself until it has lost more than the rest of what is needed at this factor. */
export const OVERPROVISIONING = 1.4

/**
 * How much of the requests each level gets: what its usable part allows of what is left; where all of them together fall short, each a part of that.
 * `usable` and `whole` are weights. Writes to `shares` and answers their sum, which is 0 when nobody has a weight.
 */
export function shareLevels(usable: Float64Array, whole: Float64Array, count: number, shares: Float64Array): number {
  let given = 0
  for (let level = 0; level < count; level++) {
    const here = usable[level] as number
    const health = here > 0 ? Math.min(1, (OVERPROVISIONING * here) / Math.max(here, whole[level] as number)) : 0
    shares[level] = Math.min(health, 1 - given)
    given += shares[level] as number
  }
  return given
}
