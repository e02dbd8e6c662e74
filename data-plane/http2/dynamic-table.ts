/**
 * The dynamic table of HPACK (RFC 7541 §2.3.2, §4): newest first, a ring, so an insert moves nothing. Its size counts name, value and 32 for
 * each entry and never exceeds its capacity; an entry larger than that empties it.
 */
import type { HeaderField } from './header-field.ts'

/** What the smallest entry counts: no more entries than that fit. */
const ENTRY_SIZE_MIN = 32
const CAPACITY_AT_START = 4096

export class DynamicTable {
  readonly #ring: (HeaderField | undefined)[]
  readonly #mask: number
  #capacity: number
  #newest = 0
  #count = 0
  #size = 0

  /** The capacity begins at the largest that it may have, or at what RFC 9113 §6.5.2 has both sides begin with. */
  constructor(capacityMax: number) {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(1, Math.floor(capacityMax / ENTRY_SIZE_MIN))))
    this.#ring = new Array(slots).fill(undefined)
    this.#mask = slots - 1
    this.#capacity = Math.min(capacityMax, CAPACITY_AT_START)
  }

  /** Position 0 is the newest entry. */
  at(position: number): HeaderField | undefined {
    return position < this.#count ? this.#ring[(this.#newest - position) & this.#mask] : undefined
  }

  insert(field: HeaderField): void {
    const { size } = field
    this.#shrink(this.#capacity - size)
    if (size > this.#capacity) return
    this.#newest = (this.#newest + 1) & this.#mask
    this.#ring[this.#newest] = field
    this.#count++
    this.#size += size
  }

  resize(capacity: number): void {
    this.#capacity = capacity
    this.#shrink(capacity)
  }

  /** Evicts the oldest until no more than `most` is used. */
  #shrink(most: number): void {
    while (this.#count > 0 && this.#size > most) {
      const oldest = (this.#newest - this.#count + 1) & this.#mask
      this.#size -= this.#ring[oldest]?.size ?? 0
      this.#ring[oldest] = undefined
      this.#count--
    }
  }
}
