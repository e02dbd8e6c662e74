/**
 * The picture that proxies are to hold: every endpoint's resource, the hash of the whole, and what changed since the last push. Cost follows
 * changes. One owner: the control loop.
 */
import type { Endpoint } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import { type Urgency, urgencyOf } from './cadence.ts'
import { EMPTY_HASH, hashText, toggle } from './content-hash.ts'
import { makeResource, type Resource, sameEndpoint } from './resource.ts'

export class Snapshot {
  readonly #resources = new Map<string, Resource>()
  #hash = EMPTY_HASH
  #changed = new Set<string>()
  #urgent = false
  #bytes = 0

  /** True when it is not what it was. */
  put(endpoint: Endpoint, factors: Readonly<Record<string, number>>): boolean {
    const before = this.#resources.get(endpoint.id)
    if (before !== undefined && sameEndpoint(before.endpoint, endpoint)) return false
    const resource = makeResource(endpoint, factors)
    if (before !== undefined) this.#hash = toggle(this.#hash, before.hash)
    this.#hash = toggle(this.#hash, resource.hash)
    this.#resources.set(endpoint.id, resource)
    this.#bytes += resource.upsert.length - (before?.upsert.length ?? 0)
    this.#note(endpoint.id, urgencyOf(before?.endpoint, endpoint))
    return true
  }

  remove(id: string): boolean {
    const before = this.#resources.get(id)
    if (before === undefined) return false
    this.#hash = toggle(this.#hash, before.hash)
    this.#resources.delete(id)
    this.#bytes -= before.upsert.length
    this.#note(id, urgencyOf(before.endpoint, undefined))
    return true
  }

  get(id: string): Resource | undefined {
    return this.#resources.get(id)
  }

  get size(): number {
    return this.#resources.size
  }

  /** Of all upserts: what a proxy is told that comes with nothing. */
  get bytes(): number {
    return this.#bytes
  }

  ids(): Iterable<string> {
    return this.#resources.keys()
  }

  resources(): Iterable<Resource> {
    return this.#resources.values()
  }

  get version(): string {
    return hashText(this.#hash)
  }

  /** Of what changed since it was last taken; undefined when nothing did. */
  get urgency(): Urgency | undefined {
    if (this.#changed.size === 0) return undefined
    return this.#urgent ? 'urgent' : 'calm'
  }

  /** Something of it is not told yet. */
  waits(id: string): boolean {
    return this.#changed.has(id)
  }

  /** Ids that were put or removed since the last call, each once however often it changed. */
  takeChanged(): readonly string[] {
    if (this.#changed.size === 0) return []
    const changed = [...this.#changed]
    this.#changed = new Set()
    this.#urgent = false
    return changed
  }

  #note(id: string, urgency: Urgency): void {
    this.#changed.add(id)
    if (urgency === 'urgent') this.#urgent = true
  }
}
