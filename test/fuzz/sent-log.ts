/** What one side was given to send, against what the other side gets: each byte once, in order, none else. Chunks are kept as they are. */
import { must } from './target.ts'

export class SentLog {
  readonly #name: string
  #chunks: Uint8Array[] = []
  #at = 0
  /** Given to be sent. */
  total = 0
  /** Of these not yet received. */
  left = 0

  constructor(name: string) {
    this.#name = name
  }

  get received(): number {
    return this.total - this.left
  }

  sent(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.#chunks.push(bytes)
    this.total += bytes.length
    this.left += bytes.length
  }

  receive(source: Uint8Array, start: number, end: number): void {
    let at = start
    while (at < end) {
      const chunk = this.#chunks[0]
      must(chunk !== undefined, `${this.#name}: ${end - at} bytes came that nobody sent`)
      const count = Math.min(end - at, chunk.length - this.#at)
      const same = Buffer.compare(source.subarray(at, at + count), chunk.subarray(this.#at, this.#at + count)) === 0
      must(same, `${this.#name}: other bytes than were sent, within ${count} behind byte ${this.received}`)
      at += count
      this.#at += count
      this.left -= count
      if (this.#at === chunk.length) {
        this.#chunks.shift()
        this.#at = 0
      }
    }
  }
}

/** Bytes without a pattern, to cut bodies from. A body is a view: nobody may write to it. */
export const NOISE: Uint8Array = (() => {
  const bytes = new Uint8Array(1 << 20)
  let state = 2_463_534_242
  for (let i = 0; i < bytes.length; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[i] = state
  }
  return bytes
})()
