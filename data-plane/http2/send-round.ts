/** The streams of one connection that wait for credit, in turn: one frame each and round, so that a large answer never holds a small one. */
import type { Stream } from './stream.ts'

export class SendRound {
  readonly #streams: Stream[] = []

  join(stream: Stream): void {
    if (stream.inRound) return
    stream.inRound = true
    this.#streams.push(stream)
  }

  /** A stream leaves the round when it has nothing left or its own window is shut. */
  drain(connection: { credit(): number }): void {
    const streams = this.#streams
    while (streams.length > 0 && connection.credit() > 0) {
      const stream = streams.shift() as Stream
      stream.inRound = false
      if (stream.drainOnce()) this.join(stream)
    }
  }
}
