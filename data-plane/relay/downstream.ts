/** The client's side of an exchange: its stream, or a lane of a stream that carries several requests. */
import type { HeaderField } from '../http2/header-field.ts'

export type Downstream = {
  readonly remoteEnded: boolean
  /** Of the answer, held up by whoever is to read it. */
  readonly waitingBytes: number
  /** Nobody is there any more to answer to, whether or not the exchange has been told. */
  readonly gone: boolean
  sendHead(fields: readonly HeaderField[], endStream: boolean): void
  /** Answers how many bytes left at once; of the others the exchange hears later. */
  sendData(source: Uint8Array, start: number, end: number, endStream: boolean): number
  sendTrailers(fields: readonly HeaderField[]): void
  reset(code: number): void
  /** For bytes of the request that have left, or that nobody wants any more. */
  returnCredit(count: number, atOnce: boolean): void
}
