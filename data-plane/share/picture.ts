/**
 * The primary's picture of the fleet, row by row, and of each change whether it makes or breaks: workers hear what makes first, so that at no
 * moment of a change fewer endpoints serve a model than before it or after it.
 */
import { EMPTY_SNAPSHOT, type Endpoint } from '../../core/mesh-snapshot.ts'
import type { PictureHead } from '../routing/routing-table.ts'

export type Change = 'same' | 'makes' | 'breaks'

export class Picture {
  readonly #endpoints = new Map<string, Endpoint>()
  head: PictureHead = EMPTY_SNAPSHOT

  get size(): number {
    return this.#endpoints.size
  }

  get ids(): Iterable<string> {
    return this.#endpoints.keys()
  }

  get(id: string): Endpoint | undefined {
    return this.#endpoints.get(id)
  }

  put(endpoint: Endpoint): Change {
    const before = this.#endpoints.get(endpoint.id)
    if (before !== undefined && sameEndpoint(before, endpoint)) return 'same'
    this.#endpoints.set(endpoint.id, endpoint)
    if (before === undefined) return 'makes'
    const widens = before.protocol === endpoint.protocol && before.models.every((model) => endpoint.models.includes(model))
    return widens && serves(endpoint) ? 'makes' : 'breaks'
  }

  remove(id: string): boolean {
    return this.#endpoints.delete(id)
  }
}

const serves = ({ state, freshness }: Endpoint): boolean => (state === 'READY' || state === 'PROBATION') && freshness !== 'last-resort'

const sameEndpoint = (a: Endpoint, b: Endpoint): boolean => sameFields(a as Fields, b as Fields)

type Fields = Readonly<Record<string, unknown>>

function sameFields(a: Fields, b: Fields): boolean {
  for (const key in a) if (!sameValue(a[key], b[key])) return false
  for (const key in b) if (!(key in a)) return false
  return true
}

const sameValue = (a: unknown, b: unknown): boolean =>
  a === b || (typeof a === 'object' && typeof b === 'object' && a !== null && b !== null && sameFields(a as Fields, b as Fields))
