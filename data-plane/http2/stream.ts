/**
 * One HTTP/2 stream of one connection: its state, its windows and what waits to be sent on it.
 * Invariants: bytes wait only while credit lacks (stream, connection or socket); what waits never exceeds the window that was granted to the
 * other side of the relay, because credit is returned only as bytes leave; a closed stream holds nothing.
 */
import { limits } from '../../core/limits.ts'
import { ByteQueue } from './byte-queue.ts'
import type { HeaderField } from './header-field.ts'
import type { Output } from './output.ts'
import { ERROR } from './protocol.ts'
import type { WindowBudget } from './shared.ts'

/** Why a stream ended without its peer saying so on the stream itself. */
export type LossCause =
  /** The connection never came up: nothing was sent. */
  | 'unreachable'
  /** The peer said that it has not looked at the stream. */
  | 'unprocessed'
  /** The connection broke. */
  | 'broken'
  /** The peer broke the protocol on this stream. */
  | 'protocol'

/** What happens on a stream, told to whoever owns it. Bytes are lent: they are good until the call returns. */
export type StreamSink = {
  /** Response head, on a stream that we opened. */
  onHead(stream: Stream, fields: HeaderField[], endStream: boolean): void
  onData(stream: Stream, source: Uint8Array, start: number, end: number, endStream: boolean): void
  /** A last header block; the stream ends with it. */
  onTrailers(stream: Stream, fields: HeaderField[]): void
  onReset(stream: Stream, code: number): void
  onLost(stream: Stream, cause: LossCause): void
  /** Bytes that had to wait have now left. */
  onSent(stream: Stream, count: number): void
}

/** What a stream asks of its connection. */
export type StreamHost = {
  /** The socket is gone; each stream is told so in its turn. */
  readonly dead: boolean
  readonly output: Output
  readonly windowBudget: WindowBudget
  /** Bytes that the connection may send now; 0 while its socket is behind. */
  credit(): number
  hasCreditFor(length: number): boolean
  spend(length: number): void
  /** The same for bytes that had to wait for the peer. */
  spendWaited(length: number): void
  /** Bytes wait, or no longer do. */
  queue(length: number): void
  unqueue(length: number): void
  /** The stream waits for connection credit. */
  joinRound(stream: Stream): void
  /** END_STREAM has been sent. */
  ended(stream: Stream): void
  /** The peer made us reset the stream; it may do so only so often. */
  resetFaulty(stream: Stream, code: number): void
  close(stream: Stream): void
}

/** No content-length came with the head. */
export const BODY_UNSTATED = -1

export class Stream {
  readonly id: number
  readonly connection: StreamHost
  sink: StreamSink | undefined
  /** What we may still send; negative after the peer shrank its window. */
  sendWindow: number
  /** What the peer may still send. */
  receiveWindow: number
  /** We sent END_STREAM. */
  localEnded = false
  /** The peer sent END_STREAM. */
  remoteEnded = false
  closed = false
  /** The first header block of the peer's side has come. */
  headReceived: boolean
  /** In the connection's round of streams that wait for connection credit. */
  inRound = false
  waiting: ByteQueue | undefined
  /** What is to come of a body whose length was stated. */
  bodyLeft = BODY_UNSTATED
  /** Seconds for which bytes have waited without a frame's worth leaving, and what left of them meanwhile. */
  stalledSeconds = 0
  leftMeanwhile = 0
  #waitingEnd: 'none' | 'end' | readonly HeaderField[] = 'none'
  #grantedWindow: number = limits.streamWindowStart
  #unreturned = 0

  constructor(id: number, connection: StreamHost, sendWindow: number, headReceived: boolean) {
    this.id = id
    this.connection = connection
    this.sendWindow = sendWindow
    this.receiveWindow = limits.streamWindowStart
    this.headReceived = headReceived
  }

  get gone(): boolean {
    return this.closed || this.connection.dead
  }

  sendHead(fields: readonly HeaderField[], endStream: boolean): void {
    if (this.closed) return
    this.connection.output.headers(this.id, fields, endStream)
    if (endStream) this.connection.ended(this)
  }

  /** The head states how long the body is; false: it contradicts itself. */
  expectBody(length: number): boolean {
    this.bodyLeft = length
    return length === 0 || !this.remoteEnded
  }

  /** Sends what credit allows and keeps the rest; answers how many bytes left at once. `endStream` goes out behind the last byte. */
  sendData(source: Uint8Array, start: number, end: number, endStream: boolean): number {
    if (this.closed) return end - start
    const connection = this.connection
    const length = end - start
    if (this.waiting === undefined && length <= limits.frameSizeMax && length <= this.sendWindow && connection.hasCreditFor(length)) {
      this.sendWindow -= length
      connection.spend(length)
      connection.output.data(this.id, source, start, end, endStream)
      if (endStream) connection.ended(this)
      return length
    }
    return this.#sendSlowly(source, start, end, endStream)
  }

  sendTrailers(fields: readonly HeaderField[]): void {
    if (this.closed || this.localEnded) return
    if (this.waiting !== undefined) this.#waitingEnd = fields
    else this.sendHead(fields, true)
  }

  /** Drops what waits. */
  reset(code: number): void {
    if (this.closed) return
    this.connection.output.reset(this.id, code)
    this.connection.close(this)
  }

  /** Credit for bytes that the relay has passed on. `atOnce` says that the other side took them without waiting: then the window may grow. */
  returnCredit(count: number, atOnce: boolean): void {
    if (this.closed || this.remoteEnded) return
    this.#unreturned += count
    if (this.#unreturned < this.#grantedWindow >>> 1) return
    let increment = this.#unreturned
    const growth = atOnce ? Math.min(this.#grantedWindow, limits.streamWindowMax - this.#grantedWindow) : 0
    if (growth > 0 && this.connection.windowBudget.take(growth)) {
      increment += growth
      this.#grantedWindow += growth
    }
    this.#unreturned = 0
    this.receiveWindow += increment
    this.connection.output.windowUpdate(this.id, increment)
  }

  /** What grew beyond the start size, to be given back to the process budget. */
  get grownWindow(): number {
    return this.#grantedWindow - limits.streamWindowStart
  }

  get waitingBytes(): number {
    return this.waiting === undefined ? 0 : this.waiting.length
  }

  /** Sends at most one frame of what waits; the connection calls it in turn for each stream. True when more waits and the stream's own window has room. */
  drainOnce(): boolean {
    const { waiting, connection } = this
    if (waiting === undefined || this.closed) return false
    if (waiting.length > 0) {
      const most = Math.min(limits.frameSizeMax, this.sendWindow, connection.credit())
      if (most <= 0) return this.sendWindow > 0
      const piece = waiting.front(most)
      const last = this.#waitingEnd === 'end' && piece.length === waiting.length
      this.sendWindow -= piece.length
      this.leftMeanwhile += piece.length
      connection.spendWaited(piece.length)
      connection.output.data(this.id, piece, 0, piece.length, last)
      waiting.drop(piece.length)
      connection.unqueue(piece.length)
      if (last) {
        this.waiting = undefined
        connection.ended(this)
      }
      this.sink?.onSent(this, piece.length)
      if (waiting.length > 0) return this.sendWindow > 0 && !this.closed
    }
    if (this.waiting !== undefined && !this.closed) this.#finishWaiting()
    return false
  }

  #finishWaiting(): void {
    const end = this.#waitingEnd
    this.waiting = undefined
    this.#waitingEnd = 'none'
    if (end === 'end') {
      this.connection.output.data(this.id, NOTHING, 0, 0, true)
      this.connection.ended(this)
    } else if (end !== 'none') this.sendHead(end, true)
  }

  #sendSlowly(source: Uint8Array, start: number, end: number, endStream: boolean): number {
    const { connection } = this
    let at = start
    if (this.waiting === undefined)
      while (at < end) {
        const most = Math.min(limits.frameSizeMax, this.sendWindow, connection.credit(), end - at)
        if (most <= 0) break
        this.sendWindow -= most
        connection.spend(most)
        connection.output.data(this.id, source, at, at + most, endStream && at + most === end)
        at += most
      }
    if (at === end && this.waiting === undefined) {
      if (start === end) connection.output.data(this.id, NOTHING, 0, 0, endStream)
      if (endStream) connection.ended(this)
      return at - start
    }
    if (this.waiting === undefined) {
      this.waiting = new ByteQueue()
      this.stalledSeconds = 0
      this.leftMeanwhile = 0
    }
    this.waiting.append(source, at, end)
    connection.queue(end - at)
    if (endStream) this.#waitingEnd = 'end'
    if (this.sendWindow > 0) connection.joinRound(this)
    return at - start
  }
}

const NOTHING = new Uint8Array(0)

/** A malformed message of the peer on this stream (RFC 9113 §8.1.1). */
export const resetMalformed = (stream: Stream): void => stream.connection.resetFaulty(stream, ERROR.PROTOCOL_ERROR)
