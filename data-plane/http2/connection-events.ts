/** What the owner of a connection hears of it. */
import type { Connection } from './connection.ts'
import type { HeaderField } from './header-field.ts'
import type { Stream } from './stream.ts'

export type Role = 'server' | 'client'

/** All calls come from inside `receive` or a send; none may throw. */
export type ConnectionEvents = {
  /** A peer opened a stream; the owner sets `stream.sink`, or resets the stream. */
  onRequest(stream: Stream, fields: HeaderField[], endStream: boolean): void
  /** A request whose head cannot be used: too large, or with characters that no header may carry. */
  onBadRequest(stream: Stream, problem: 'too-large' | 'malformed'): void
  /** Output is there to be sent. */
  onOutput(connection: Connection): void
  /** Output fills a slab and should leave now. */
  onOutputFull(connection: Connection): void
  /** The connection can open streams that it could not before, or cannot any more. */
  onCapacity(connection: Connection): void
  /** The connection is to be closed once its output has left. */
  onFatal(connection: Connection, code: number, reason: string): void
}
