/** Follows the gRPC messages in a byte stream without keeping any: how many are whole, and whether one is torn at this point. */
export class MessageWalker {
  messages = 0
  /** Bytes of the current message's body that are still to come. */
  #bodyLeft = 0
  /** Bytes of the current prefix that have come: 0..4. */
  #prefixAt = 0
  #lengthSoFar = 0

  /** False at the boundary of two messages. */
  get torn(): boolean {
    return this.#bodyLeft > 0 || this.#prefixAt > 0
  }

  copy(): MessageWalker {
    const copy = new MessageWalker()
    copy.messages = this.messages
    copy.#bodyLeft = this.#bodyLeft
    copy.#prefixAt = this.#prefixAt
    copy.#lengthSoFar = this.#lengthSoFar
    return copy
  }

  /** Walks to the end of the current message, or of the bytes; answers where. */
  walkMessage(source: Uint8Array, start: number, end: number): number {
    const before = this.messages
    let at = start
    while (at < end && this.messages === before) {
      const step = this.#bodyLeft > 0 ? Math.min(this.#bodyLeft, end - at) : 1
      this.feed(source, at, at + step)
      at += step
    }
    return at
  }

  /** Where the last message that ends within these bytes ends; `start` when none does. Walks nothing. */
  lastBoundary(source: Uint8Array, start: number, end: number): number {
    const ahead = this.copy()
    let last = start
    for (let at = start; at < end; ) {
      at = ahead.walkMessage(source, at, end)
      if (!ahead.torn) last = at
    }
    return last
  }

  feed(source: Uint8Array, start: number, end: number): void {
    let at = start
    while (at < end) {
      if (this.#bodyLeft > 0) {
        const piece = Math.min(this.#bodyLeft, end - at)
        this.#bodyLeft -= piece
        at += piece
        if (this.#bodyLeft === 0) this.messages++
      } else if (this.#prefixAt === 0 && end - at >= 5) {
        this.#bodyLeft = lengthAt(source, at + 1)
        at += 5
        if (this.#bodyLeft === 0) this.messages++
      } else {
        const byte = source[at++] as number
        if (this.#prefixAt > 0) this.#lengthSoFar = this.#lengthSoFar * 256 + byte
        if (++this.#prefixAt < 5) continue
        this.#bodyLeft = this.#lengthSoFar
        this.#prefixAt = 0
        this.#lengthSoFar = 0
        if (this.#bodyLeft === 0) this.messages++
      }
    }
  }
}

export const lengthAt = (source: Uint8Array, at: number): number =>
  (source[at] as number) * 0x1000000 + (((source[at + 1] as number) << 16) | ((source[at + 2] as number) << 8) | (source[at + 3] as number))
