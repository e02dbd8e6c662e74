/**
 * Hands what is to be told to the streams, in order, for a few milliseconds in each turn of the event loop: between two turns reports and answers are
 * heard, however many proxies there are. Bounded by what one tick tells: while something waits, the control loop tells nothing new.
 */
import type { Push } from '../snapshot/push.ts'
import type { StreamId } from '../state.ts'

export type HandOverPorts = {
  write(stream: StreamId, message: Buffer): void
  /** In ms. */
  now(): number
  nextTurn(act: () => void): void
}

export const HAND_OVER_MS = 5
/** The clock costs as much as a part of a write: it is asked after so many of them. */
const WRITES_PER_LOOK = 16

export class HandOver {
  /** What it took, without the ticks that laid it out. */
  spentMs = 0
  readonly #ports: HandOverPorts
  #waiting: (readonly [stream: StreamId, message: Buffer])[] = []
  #at = 0
  #handing = false

  constructor(ports: HandOverPorts) {
    this.#ports = ports
  }

  /** The round before is not with all of its streams yet. */
  get busy(): boolean {
    return this.#waiting.length > 0
  }

  add({ streams, bytes }: Push): void {
    const message = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    for (const stream of streams) this.#waiting.push([stream, message])
  }

  /** For one turn; what is left goes in the turns behind it. */
  hand(): void {
    if (this.#handing) return
    this.#handing = true
    this.#turn()
  }

  drop(): void {
    this.#waiting = []
    this.#at = 0
  }

  #turn(): void {
    const began = this.#ports.now()
    let spent = 0
    while (this.#at < this.#waiting.length && spent < HAND_OVER_MS) {
      for (const [stream, message] of this.#waiting.slice(this.#at, this.#at + WRITES_PER_LOOK)) this.#ports.write(stream, message)
      this.#at += WRITES_PER_LOOK
      spent = this.#ports.now() - began
    }
    this.spentMs += spent
    if (this.#at < this.#waiting.length) return this.#ports.nextTurn(() => this.#turn())
    this.#handing = false
    this.drop()
  }
}
