/**
 * A request that the proxy answers itself, on the same engine as the traffic: whole messages go to a handler, and what it answers goes out.
 * Invariants: `done` is told once, however it ends; the next message is handed over only when the answers before it have left, and only then does
 * the client get credit for it, so that a client which asks and never reads costs its window and one answer.
 */
import { limits } from '../../core/limits.ts'
import { REFUSALS, type Reason } from '../../core/mesh-error.ts'
import { lengthAt } from '../grpc/message-walker.ts'
import { GRPC, responseHead, trailers, trailersOnly } from '../grpc/status.ts'
import { ByteQueue } from '../http2/byte-queue.ts'
import { headerField } from '../http2/header-field.ts'
import type { Stream, StreamSink } from '../http2/stream.ts'

/** What a handler may do with its caller. After the end nothing is sent any more. */
export type LocalCall = {
  readonly over: boolean
  /** Answers wait for the client's credit. */
  readonly behind: boolean
  send(message: Uint8Array): void
  end(status: number, detail: string): void
}

/** What is answered, decided by whoever knows. A handler never waits: it answers now, or later from a call that it keeps. */
export type LocalHandler = {
  /** A method that takes one message is refused another, and is not called without any. */
  readonly requests: 'one' | 'many'
  onMessage(call: LocalCall, message: Uint8Array): void
  /** The client has said all. Whoever has answered all ends the call. */
  onHalfClose(call: LocalCall): void
  /** It is over, however it ended: what was kept for it is let go. */
  onOver(call: LocalCall): void
}

/** What its opener wants to know. */
export type LocalStreamOwner = {
  onMessage(of: LocalStream): void
  onRefused(reason: Reason): void
  onDone(of: LocalStream, status: number): void
}

const PREFIX_BYTES = 5
const ONLY_IDENTITY = headerField('grpc-accept-encoding', 'identity')

export class LocalStream implements StreamSink, LocalCall {
  over = false
  messagesOut = 0
  readonly #stream: Stream
  readonly #handler: LocalHandler
  readonly #owner: LocalStreamOwner
  readonly #pending = new ByteQueue()
  #messagesIn = 0
  #halfClosed: boolean
  #halfCloseTold = false
  #headSent = false
  #pumping = false

  constructor(stream: Stream, handler: LocalHandler, owner: LocalStreamOwner) {
    this.#stream = stream
    this.#handler = handler
    this.#owner = owner
    this.#halfClosed = stream.remoteEnded
    stream.sink = this
  }

  /** A request may have ended with its head. */
  start(): void {
    this.#pump()
  }

  get behind(): boolean {
    return this.#stream.waitingBytes > 0
  }

  /** The client still owes a message. */
  get awaitsMessage(): boolean {
    return !this.#halfClosed && (this.#handler.requests === 'many' || this.#messagesIn === 0)
  }

  send(message: Uint8Array): void {
    if (this.over) return
    if (!this.#headSent) this.#stream.sendHead(responseHead(), false)
    this.#headSent = true
    this.messagesOut++
    const framed = new Uint8Array(PREFIX_BYTES + message.length)
    new DataView(framed.buffer).setUint32(1, message.length)
    framed.set(message, PREFIX_BYTES)
    this.#stream.sendData(framed, 0, framed.length, false)
  }

  end(status: number, detail: string): void {
    if (this.over) return
    if (this.#headSent) this.#stream.sendTrailers(trailers(status, detail))
    else this.#stream.sendHead(trailersOnly(status, detail), true)
    this.#finish(status)
  }

  refuse(reason: Reason, detail: string): void {
    this.#owner.onRefused(reason)
    if (reason !== 'encoding-unknown' || this.#headSent) return this.end(REFUSALS[reason].grpc, detail)
    this.#stream.sendHead([...trailersOnly(REFUSALS[reason].grpc, detail), ONLY_IDENTITY], true)
    this.#finish(REFUSALS[reason].grpc)
  }

  onHead(): void {}

  onData(_stream: Stream, source: Uint8Array, start: number, end: number, endStream: boolean): void {
    if (this.over) return
    if (end > start) this.#pending.append(source, start, end)
    if (endStream) this.#halfClosed = true
    this.#pump()
  }

  onTrailers(): void {
    this.#halfClosed = true
    this.#pump()
  }

  onReset(): void {
    this.#finish(GRPC.CANCELLED)
  }

  onLost(): void {
    this.#finish(GRPC.CANCELLED)
  }

  onSent(): void {
    this.#pump()
  }

  #pump(): void {
    // An answer that leaves at once says so from within.
    if (this.#pumping) return
    this.#pumping = true
    while (!this.over && !this.behind && this.#takeOne());
    this.#pumping = false
  }

  /** Hands over what is next; false when there is nothing, or nothing whole. */
  #takeOne(): boolean {
    if (this.#pending.length < PREFIX_BYTES) return this.#tellHalfClose()
    const prefix = this.#peek(PREFIX_BYTES)
    const size = PREFIX_BYTES + lengthAt(prefix, 1)
    const flag = prefix[0] as number
    if (flag > 1) this.refuse('illegal-message', `a compression flag is 0 or 1, not ${flag}`)
    else if (flag === 1) this.refuse('encoding-unknown', 'this method takes messages without compression only')
    else if (size > limits.scanBudget) this.refuse('scan-budget', 'the request is too long for this method')
    else if (this.#handler.requests === 'one' && this.#messagesIn > 0)
      this.refuse('illegal-message', 'the method takes one message, and there are more')
    if (this.over) return false
    if (this.#pending.length < size) return this.#tellHalfClose()
    const message = this.#peek(size).subarray(PREFIX_BYTES)
    this.#drop(size)
    this.#stream.returnCredit(size, false)
    this.#messagesIn++
    this.#owner.onMessage(this)
    this.#handler.onMessage(this, message)
    return true
  }

  #tellHalfClose(): false {
    if (!this.#halfClosed || this.#halfCloseTold) return false
    this.#halfCloseTold = true
    if (this.#pending.length > 0) this.refuse('illegal-message', 'the request ended in the middle of a message')
    else if (this.#handler.requests === 'one' && this.#messagesIn === 0) this.refuse('illegal-message', 'the request carries no message')
    else this.#handler.onHalfClose(this)
    return false
  }

  #peek(count: number): Uint8Array {
    const bytes = new Uint8Array(count)
    let at = 0
    this.#pending.forEach((chunk, start, end) => {
      const piece = Math.min(end - start, count - at)
      bytes.set(chunk.subarray(start, start + piece), at)
      at += piece
    })
    return bytes
  }

  #drop(count: number): void {
    for (let left = count; left > 0; ) {
      const { length } = this.#pending.front(left)
      this.#pending.drop(length)
      left -= length
    }
  }

  #finish(status: number): void {
    if (this.over) return
    this.over = true
    this.#pending.clear()
    this.#handler.onOver(this)
    this.#owner.onDone(this, status)
  }
}
