/** Which endpoints have probably read which blocks of prompts: what was sent where, the longest unused forgotten first, so many blocks of each endpoint. */
import type { EndpointSlot } from '../../../data-plane/routing/endpoint-slot.ts'

export class PrefixIndex {
  readonly #blocksMax: number
  readonly #known = new Map<EndpointSlot, Map<number, true>>()

  constructor(blocksMax: number) {
    this.#blocksMax = blocksMax
  }

  /** How many of the first blocks the endpoint has. */
  matched(slot: EndpointSlot, blocks: Uint32Array): number {
    const known = this.#known.get(slot)
    if (known === undefined) return 0
    let count = 0
    while (count < blocks.length && known.has(blocks[count] as number)) count++
    return count
  }

  /** Blocks that it has. */
  size(slot: EndpointSlot): number {
    return this.#known.get(slot)?.size ?? 0
  }

  insert(slot: EndpointSlot, blocks: Uint32Array): void {
    const known = this.#known.get(slot) ?? new Map<number, true>()
    this.#known.set(slot, known)
    // The first blocks are used last, so that a chain loses its end before its beginning.
    for (let at = blocks.length - 1; at >= 0; at--) {
      const block = blocks[at] as number
      known.delete(block)
      known.set(block, true)
    }
    for (const block of known.keys()) {
      if (known.size <= this.#blocksMax) break
      known.delete(block)
    }
  }
}
