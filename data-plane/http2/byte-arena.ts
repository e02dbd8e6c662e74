/**
 * Memory for small things that are written once and kept for a while, cut from chunks in order. A chunk is never reused: it goes when the last
 * thing in it goes. So that one kept thing does not hold much else, an arena is shared only by things that leave in about the order they came.
 */

const CHUNK_SIZE = 2048
/** A larger piece gets memory of its own: it would waste the end of a chunk. */
const PIECE_MAX = CHUNK_SIZE / 4

export class ByteArena {
  #chunk = new Uint8Array(0)
  #at = 0
  /** Where the piece of the last `reserve` lies. */
  memory = this.#chunk

  /** Answers at which offset of `memory` the piece begins. */
  reserve(length: number): number {
    if (length > PIECE_MAX) {
      this.memory = new Uint8Array(length)
      return 0
    }
    if (this.#at + length > this.#chunk.length) {
      this.#chunk = new Uint8Array(CHUNK_SIZE)
      this.#at = 0
    }
    this.memory = this.#chunk
    const at = this.#at
    this.#at = at + length
    return at
  }
}
