/**
 * Which endpoints were sent which beginnings of prompts, as far as one worker knows: from the hash of a block to the few endpoints that had it last. A table
 * of fixed size: within a set of WAYS entries the one that was of no use for longest gives way. Of one endpoint only so many blocks count as its server
 * may still hold, and none once the server was lost or the endpoint left: what was in its memory is then gone.
 */
import { limits } from '../../core/limits.ts'
import type { EndpointSlot } from './endpoint-slot.ts'

const WAYS = 8
const NOBODY = 0

/** Who was sent prompts; the number of an owner is its place in the list. An owner whose server was lost is another one from then on. */
type Owner = { readonly slot: EndpointSlot; readonly lives: number; recorded: number }

export type PrefixTally = {
  /** What became of prompts: somebody had the beginning and was taken; all who had it were too busy; nobody had it. */
  warm: number
  busy: number
  cold: number
  /** Blocks that were written down, and those that gave way to others while they still counted. */
  recorded: number
  evicted: number
}

export class PrefixIndex {
  readonly tally: PrefixTally = { warm: 0, busy: 0, cold: 0, recorded: 0, evicted: 0 }
  readonly #sets = limits.prefixBlocksMax / WAYS
  /** Made when the first prompt comes. */
  #hashes = new Uint32Array(0)
  #ownerOf = new Uint32Array(0)
  /** When an entry was last of use, on the clock of the table and on that of its owner. */
  #usedAt = new Uint32Array(0)
  #ownUsedAt = new Uint32Array(0)
  #clock = 0
  #owners: (Owner | undefined)[] = [undefined]
  readonly #numbers = new Map<EndpointSlot, number>()

  /** Those who had the most of the prompt, the longest match first, each once. */
  longest(hashes: Uint32Array, most: number): readonly EndpointSlot[] {
    const found: EndpointSlot[] = []
    if (this.#hashes.length === 0) return found
    // A prompt's blocks come and go together, so the last one that anybody has is found by halving.
    let known = 0
    for (let unknown = hashes.length + 1; unknown - known > 1; ) {
      const middle = (known + unknown) >>> 1
      if (this.#isKnown(hashes[middle - 1] as number)) known = middle
      else unknown = middle
    }
    for (let back = 1; known > 0 && found.length < most; known -= back, back *= 2) this.#collect(hashes[known - 1] as number, found, most)
    return found
  }

  /** The endpoint was sent a prompt of these blocks. */
  record(slot: EndpointSlot, hashes: Uint32Array): void {
    if (hashes.length === 0) return
    if (this.#hashes.length === 0) this.#makeTable()
    const number = this.#numberOf(slot)
    const owner = this.#owners[number] as Owner
    this.#clock = (this.#clock + 1) >>> 0
    for (let at = 0; at < hashes.length; at++) this.#enter(hashes[at] as number, number, owner)
  }

  #makeTable(): void {
    this.#hashes = new Uint32Array(limits.prefixBlocksMax)
    this.#ownerOf = new Uint32Array(limits.prefixBlocksMax)
    this.#usedAt = new Uint32Array(limits.prefixBlocksMax)
    this.#ownUsedAt = new Uint32Array(limits.prefixBlocksMax)
  }

  #enter(hash: number, number: number, owner: Owner): void {
    const start = (hash % this.#sets) * WAYS
    let place = start
    while (place < start + WAYS && !(this.#hashes[place] === hash && this.#ownerOf[place] === number)) place++
    if (place === start + WAYS) {
      place = this.#makeRoom(start)
      this.tally.recorded++
      owner.recorded++
      this.#hashes[place] = hash
      this.#ownerOf[place] = number
    }
    this.#usedAt[place] = this.#clock
    this.#ownUsedAt[place] = owner.recorded
  }

  /** The place of the set that is the least loss. */
  #makeRoom(start: number): number {
    let place = start
    let oldest = Number.POSITIVE_INFINITY
    for (let at = start; at < start + WAYS && oldest >= 0; at++) {
      const usedAt = this.#holds(at) ? (this.#usedAt[at] as number) : -1
      if (usedAt < oldest) {
        oldest = usedAt
        place = at
      }
    }
    if (oldest >= 0) this.tally.evicted++
    return place
  }

  #isKnown(hash: number): boolean {
    const start = (hash % this.#sets) * WAYS
    for (let at = start; at < start + WAYS; at++) if (this.#hashes[at] === hash && this.#holds(at)) return true
    return false
  }

  #collect(hash: number, found: EndpointSlot[], most: number): void {
    const start = (hash % this.#sets) * WAYS
    for (let at = start; at < start + WAYS && found.length < most; at++) {
      if (this.#hashes[at] !== hash || !this.#holds(at)) continue
      const { slot } = this.#owners[this.#ownerOf[at] as number] as Owner
      if (!found.includes(slot)) found.push(slot)
    }
  }

  /** Whether the entry's owner may still have it. */
  #holds(at: number): boolean {
    const owner = this.#owners[this.#ownerOf[at] as number]
    if (owner === undefined || owner.slot.gone || owner.slot.lives !== owner.lives) return false
    return owner.recorded - (this.#ownUsedAt[at] as number) < limits.prefixBlocksPerEndpointMax
  }

  #numberOf(slot: EndpointSlot): number {
    const known = this.#numbers.get(slot)
    if (known !== undefined && this.#owners[known]?.lives === slot.lives) return known
    if (known !== undefined) this.#owners[known] = undefined
    if (this.#owners.length > limits.prefixOwnersMax) this.#forgetAll()
    const number = this.#owners.push({ slot, lives: slot.lives, recorded: 0 }) - 1
    this.#numbers.set(slot, number)
    return number
  }

  /** Numbers are not given twice, lest an entry have a wrong owner; rather than run out of them the table begins anew. */
  #forgetAll(): void {
    this.#owners = [undefined]
    this.#numbers.clear()
    this.#ownerOf.fill(NOBODY)
  }
}
