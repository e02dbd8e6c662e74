/**
 * Bytes that wait, in order. The caller bounds how many. Small pieces share a chunk, so that many tiny frames do not cost many objects, and chunks
 * of the usual size are used again: a request that is kept for a retry then costs the garbage collector nothing.
 */
import { limits } from '../../core/limits.ts'

/** Most requests fit into the one, one frame into the other. */
const SMALL = 2_048
const LARGE = 16_384
/** Free chunks kept by a process, of each size: what one connection may hold and is made to drop serves the next bytes, instead of lying as garbage beside them. */
const FREE_MAX = limits.waitingMax / LARGE
const freeSmall: Uint8Array[] = []
const freeLarge: Uint8Array[] = []

function takeChunk(least: number): Uint8Array {
  if (least <= SMALL) return freeSmall.pop() ?? new Uint8Array(SMALL)
  if (least <= LARGE) return freeLarge.pop() ?? new Uint8Array(LARGE)
  return new Uint8Array(least)
}

function giveChunk(chunk: Uint8Array): void {
  if (chunk.length === SMALL && freeSmall.length < FREE_MAX) freeSmall.push(chunk)
  else if (chunk.length === LARGE && freeLarge.length < FREE_MAX) freeLarge.push(chunk)
}

export class ByteQueue {
  length = 0
  #chunks: Uint8Array[] = []
  #headAt = 0
  #tailAt = 0

  append(source: Uint8Array, start: number, end: number): void {
    this.length += end - start
    const tail = this.#chunks.length > 0 ? (this.#chunks[this.#chunks.length - 1] as Uint8Array) : undefined
    if (tail !== undefined && this.#tailAt < tail.length) {
      const piece = Math.min(end - start, tail.length - this.#tailAt)
      tail.set(source.subarray(start, start + piece), this.#tailAt)
      this.#tailAt += piece
      start += piece
    }
    if (start === end) return
    const chunk = takeChunk(end - start)
    chunk.set(source.subarray(start, end))
    this.#chunks.push(chunk)
    this.#tailAt = end - start
  }

  /** The longest run at the front, at most `most` bytes, as a view that is good until the next append, drop or clear. */
  front(most: number): Uint8Array {
    const chunk = this.#chunks[0] as Uint8Array
    const end = this.#chunks.length === 1 ? this.#tailAt : chunk.length
    return chunk.subarray(this.#headAt, Math.min(end, this.#headAt + most))
  }

  drop(count: number): void {
    this.length -= count
    this.#headAt += count
    const head = this.#chunks[0] as Uint8Array
    if (this.#headAt < (this.#chunks.length === 1 ? this.#tailAt : head.length)) return
    this.#chunks.shift()
    giveChunk(head)
    this.#headAt = 0
    if (this.#chunks.length === 0) this.#tailAt = 0
  }

  clear(): void {
    for (const chunk of this.#chunks) giveChunk(chunk)
    this.#chunks = []
    this.#headAt = 0
    this.#tailAt = 0
    this.length = 0
  }

  /** A copy of all bytes in one piece. */
  whole(): Uint8Array {
    const all = new Uint8Array(this.length)
    let at = 0
    this.forEach((chunk, start, end) => {
      all.set(chunk.subarray(start, end), at)
      at += end - start
    })
    return all
  }

  /** Walks all bytes without taking them; the views are good until the call returns. */
  forEach(visit: (chunk: Uint8Array, start: number, end: number) => void): void {
    const chunks = this.#chunks
    for (let i = 0; i < chunks.length; i++) {
      const chunk = chunks[i] as Uint8Array
      const start = i === 0 ? this.#headAt : 0
      const end = i === chunks.length - 1 ? this.#tailAt : chunk.length
      if (end > start) visit(chunk, start, end)
    }
  }
}
