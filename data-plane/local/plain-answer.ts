/**
 * The answer to a request that is HTTP/2 and not gRPC: one line that a person can read, once the request has been heard out, since a client that is
 * still sending takes an early end for a failure. What it sends is thrown away; how much, and for how long, is bounded.
 */
import { limits } from '../../core/limits.ts'
import { type HeaderField, headerField } from '../http2/header-field.ts'
import type { Stream, StreamSink } from '../http2/stream.ts'

const TEXT = headerField('content-type', 'text/plain; charset=utf-8')

export class PlainAnswer implements StreamSink {
  readonly #stream: Stream
  readonly #head: readonly HeaderField[]
  readonly #body: Uint8Array
  readonly #done: () => void
  #thrownAway = 0
  #over = false

  /** `fields` goes between the status and the end of the head; `done` is told once, however it ends. */
  constructor(stream: Stream, status: number, fields: readonly HeaderField[], body: Uint8Array, done: () => void) {
    this.#stream = stream
    this.#head = [headerField(':status', String(status)), TEXT, ...fields]
    this.#body = body
    this.#done = done
    stream.sink = this
  }

  /** Without waiting for the rest of the request. */
  say(): void {
    if (!this.#end()) return
    this.#stream.sendHead(this.#head, this.#body.length === 0)
    if (this.#body.length > 0) this.#stream.sendData(this.#body, 0, this.#body.length, true)
  }

  onHead(): void {}

  onData(stream: Stream, _source: Uint8Array, start: number, end: number, endStream: boolean): void {
    this.#thrownAway += end - start
    stream.returnCredit(end - start, false)
    if (endStream || this.#thrownAway > limits.scanBudget) this.say()
  }

  onTrailers(): void {
    this.say()
  }

  onReset(): void {
    this.#end()
  }

  onLost(): void {
    this.#end()
  }

  onSent(): void {}

  /** False: it had ended before. */
  #end(): boolean {
    if (this.#over) return false
    this.#over = true
    this.#done()
    return true
  }
}
