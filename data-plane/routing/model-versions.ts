/**
 * The endpoints of one model by version, for requests that ask for one. Kept only while some endpoint says which version it serves.
 * Invariant: who says none serves all, and stands in every version's group.
 */
import type { Model } from '../../core/mesh-snapshot.ts'
import type { EndpointSlot } from './endpoint-slot.ts'
import type { Candidates } from './model-groups.ts'
import type { PrefixIndex } from './prefix-index.ts'

type Version = { readonly candidates: Candidates; namedBy: number }

export class ModelVersions {
  /** A group that nobody has joined yet. */
  readonly #newGroup: () => Candidates
  readonly #serveAll: Candidates
  readonly #byVersion = new Map<string, Version>()
  /** What those say who do not serve all. */
  readonly #said = new Map<EndpointSlot, readonly string[]>()
  #prefixes: PrefixIndex
  #row: Model | undefined

  /** `all`: who served the model before anybody named a version. */
  constructor(newGroup: () => Candidates, all: Iterable<EndpointSlot>, prefixes: PrefixIndex, row?: Model) {
    this.#newGroup = newGroup
    this.#serveAll = newGroup()
    for (const slot of all) this.#serveAll.own.put(slot)
    this.#prefixes = prefixes
    this.setRules(prefixes, row)
  }

  get isEmpty(): boolean {
    return this.#byVersion.size === 0
  }

  candidatesFor(version: string): Candidates {
    return this.named(version) ?? this.#serveAll
  }

  /** Who says that it serves this one, with all who serve every version; undefined when nobody says so. */
  named(version: string): Candidates | undefined {
    return this.#byVersion.get(version)?.candidates
  }

  setRules(prefixes: PrefixIndex, row?: Model): void {
    this.#prefixes = prefixes
    this.#row = row
    this.#serveAll.setRules(prefixes, row)
    for (const { candidates } of this.#byVersion.values()) candidates.setRules(prefixes, row)
  }

  /** Takes it in, or moves it to where it belongs now. Without versions it serves all of them. */
  join(slot: EndpointSlot, versions: readonly string[]): void {
    if (versions.length === 0) {
      this.#serveAll.own.put(slot)
      for (const { candidates } of this.#byVersion.values()) candidates.own.put(slot)
      return
    }
    const known = this.#said.has(slot)
    this.#said.set(slot, versions)
    for (const version of versions) {
      const group = this.#byVersion.get(version) ?? this.#open(version)
      if (!known) group.namedBy++
      group.candidates.own.put(slot)
    }
  }

  leave(slot: EndpointSlot): void {
    this.#serveAll.own.drop(slot)
    for (const { candidates } of this.#byVersion.values()) candidates.own.drop(slot)
    for (const version of this.#said.get(slot) ?? []) {
      const group = this.#byVersion.get(version)
      if (group !== undefined && --group.namedBy === 0) this.#byVersion.delete(version)
    }
    this.#said.delete(slot)
  }

  #open(version: string): Version {
    const group = { candidates: this.#newGroup(), namedBy: 0 }
    group.candidates.setRules(this.#prefixes, this.#row)
    for (const slot of this.#serveAll.own.slots) group.candidates.own.put(slot)
    this.#byVersion.set(version, group)
    return group
  }
}
