/**
 * Remembers how the last streams that a client opened were closed. Behind its own END_STREAM or RST_STREAM a client has no more to send, and frames that
 * come all the same break the protocol (RFC 9113 §5.1); behind a reset of ours they may have been under way.
 * Invariant: what is not remembered any more is never held against a client.
 */

import { ERROR, FRAME } from './protocol.ts'

/** What was closed in the time that a frame needs to cross. */
const REMEMBERED = 64

export class ClosedStreams {
  /** Ids; negative: we closed it while the client still had to send. */
  readonly #ids = new Int32Array(REMEMBERED)
  #count = 0

  remember(id: number, byPeer: boolean): void {
    this.#ids[this.#count++ % REMEMBERED] = byPeer ? id : -id
  }

  /** What DATA or HEADERS mean on a stream that is not open any more, nor above the highest that was: an error of the connection, or NO_ERROR. */
  errorOf(id: number, type: number): number {
    if (this.#ids.includes(id)) return ERROR.STREAM_CLOSED
    if (this.#count > REMEMBERED || this.#ids.includes(-id)) return ERROR.NO_ERROR
    // One that the client passed over: opening a higher one has closed it (RFC 9113 §5.1.1).
    return type === FRAME.HEADERS ? ERROR.PROTOCOL_ERROR : ERROR.STREAM_CLOSED
  }

  /** The client has reset it, too. */
  peerReset(id: number): void {
    const at = this.#ids.indexOf(-id)
    if (at >= 0) this.#ids[at] = id
  }
}
