/** The bytes of a request, kept for as long as it may have to be sent (again). A copy, bounded by itself and by what all requests of a worker keep. */
import { limits } from '../../core/limits.ts'
import type { MessageRenamer } from '../grpc/rename-message.ts'
import { ByteQueue } from '../http2/byte-queue.ts'
import type { Stream } from '../http2/stream.ts'

export class KeptRequest extends ByteQueue {
  readonly #room: { left: number }

  /** `room` is shared by all requests. */
  constructor(room: { left: number }) {
    super()
    this.#room = room
  }

  /** False when it does not fit: what has gone out need not be kept. What has not (`optional` false) is bounded by the client's window. */
  keep(source: Uint8Array, start: number, end: number, optional: boolean): boolean {
    const count = end - start
    if (optional && (this.length + count > limits.retryCopyMax || this.#room.left < count)) return false
    this.#room.left -= count
    this.append(source, start, end)
    return true
  }

  free(): void {
    this.#room.left += this.length
    this.clear()
  }

  /** All there is of the request, under another name where there is a renamer; answers how many bytes left at once. */
  sendTo(up: Stream, renamer: MessageRenamer | undefined): number {
    let given = 0
    let sent = 0
    this.forEach((chunk, start, end) => {
      given += end - start
      const ends = given === this.length
      sent += renamer === undefined ? up.sendData(chunk, start, end, ends) : renamer.pass(up, chunk, start, end, ends)
    })
    return sent
  }
}
