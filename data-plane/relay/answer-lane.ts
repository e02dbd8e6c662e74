/**
 * The answers of one upstream stream on their way into a client's stream that others share: cut into whole messages and held until they may leave.
 * Bytes that are held earn the server no credit, so a lane holds its upstream window at most. A message longer than `messageHoldMax` cannot be held
 * whole: it begins when its turn comes, and others wait for its end.
 */
import { limits } from '../../core/limits.ts'
import { MessageWalker } from '../grpc/message-walker.ts'
import { GRPC, messageOf, statusOf } from '../grpc/status.ts'
import { ByteQueue } from '../http2/byte-queue.ts'
import type { HeaderField } from '../http2/header-field.ts'
import type { Turn } from './answer-order.ts'
import type { Downstream } from './downstream.ts'
import type { Exchange } from './exchange.ts'
import { streamError } from './stream-error.ts'

export type LaneHost = {
  /** Something of the lane may be ready to leave. */
  onReady(lane: AnswerLane): void
  /** A message that the client has begun to receive will never be whole. */
  onTorn(): void
  /** Messages that could pass: nothing of the lane is held, and nobody else is writing. Answers false when they must be held. */
  passOn(lane: AnswerLane, source: Uint8Array, start: number, end: number): boolean
  returnCredit(count: number): void
  /** Bytes held more, or fewer. */
  countHeld(change: number): void
  /** The client's stream has ended. */
  readonly over: boolean
  readonly encodingSent: string | undefined
  readonly errorsEndStream: boolean
}

export class AnswerLane implements Downstream {
  readonly remoteEnded = false
  exchange: Exchange | undefined
  /** Requests that the lane still has to answer, in order; more than one only where they belong to one sequence. */
  readonly turns: Turn[]
  /** Of the server; the client sees the first lane's that answers. */
  head: readonly HeaderField[] | undefined
  /** The upstream stream has said its last, and its exchange ends. */
  ended = false
  /** An error that is to end the client's stream. */
  fatal: { readonly status: number; readonly detail: string } | undefined
  /** A sequence's: each message of a model in order answers one request. */
  shared = false
  /** Answers that left before it was known how the model answers. */
  unsettled: number
  /** The client has a part of the current message. */
  begun = false
  readonly #host: LaneHost
  readonly #walker: MessageWalker
  /** Messages that may leave, and of a begun one what has come. */
  readonly #ready = new ByteQueue()
  readonly #sizes: number[] = []
  #begunBytes = 0
  /** Of a message that is not whole yet. */
  readonly #partial = new ByteQueue()

  constructor(host: LaneHost, turn: Turn, earlier: MessageWalker = new MessageWalker()) {
    this.#host = host
    this.turns = [turn]
    this.#walker = earlier.copy()
    this.unsettled = earlier.messages
    this.begun = earlier.torn
  }

  get waitingBytes(): number {
    return this.#ready.length
  }

  get gone(): boolean {
    return this.#host.over
  }

  // ——— what the exchange says ———

  sendHead(fields: readonly HeaderField[], endStream: boolean): void {
    if (endStream) return this.sendTrailers(fields)
    this.head = fields
    const encoding = encodingOf(fields)
    if (this.#host.encodingSent !== undefined && encoding !== 'identity' && encoding !== this.#host.encodingSent)
      this.exchange?.answerError(GRPC.INTERNAL, `the server compresses with ${encoding}, which the answer's head did not announce`)
  }

  sendData(source: Uint8Array, start: number, end: number): number {
    let from = start
    if (this.#ready.length === 0 && this.#partial.length === 0 && !this.begun) {
      const boundary = this.#walker.lastBoundary(source, start, end)
      if (boundary > start && !this.shared && this.#host.passOn(this, source, start, boundary)) {
        this.#walker.feed(source, start, boundary)
        from = boundary
      }
    }
    this.#host.countHeld(end - from)
    for (let at = from; at < end; ) {
      const stop = this.#walker.walkMessage(source, at, end)
      this.#take(source, at, stop)
      at = stop
    }
    if (from < end) this.#host.onReady(this)
    return 0
  }

  sendTrailers(fields: readonly HeaderField[]): void {
    const status = statusOf(fields) ?? GRPC.UNKNOWN
    if (status === GRPC.OK) this.#finish()
    else this.#fail(status, messageOf(fields))
  }

  reset(): void {
    if (!this.begun) return this.#fail(GRPC.INTERNAL, 'the server ended in the middle of a message')
    this.ended = true
    this.#host.onTorn()
  }

  returnCredit(count: number): void {
    if (count > 0) this.#host.returnCredit(count)
  }

  // ——— what the client's stream asks ———

  /** Bytes that may leave in one go: a whole message, or what has come of one that is too long to wait for. */
  get writable(): number {
    if (this.#sizes[0] !== undefined) return this.#sizes[0]
    return this.begun ? this.#begunBytes : this.#partial.length >= limits.messageHoldMax ? this.#partial.length : 0
  }

  get isEmpty(): boolean {
    return this.#sizes.length === 0 && this.#begunBytes === 0
  }

  /** Hands out what `writable` counted. Answers true when a message's end is among it. */
  write(send: (source: Uint8Array, start: number, end: number) => void): boolean {
    const count = this.writable
    if (this.#sizes.length === 0 && !this.begun) this.#moveParts()
    for (let left = count; left > 0; ) {
      const piece = this.#ready.front(left)
      left -= piece.length
      send(piece, 0, piece.length)
      this.#ready.drop(piece.length)
    }
    this.#host.countHeld(-count)
    const whole = this.#sizes.shift() !== undefined
    this.begun = !whole
    this.#begunBytes = 0
    return whole
  }

  drop(): void {
    this.#host.countHeld(-(this.#ready.length + this.#partial.length))
    this.#ready.clear()
    this.#partial.clear()
    this.#sizes.length = 0
    this.#begunBytes = 0
  }

  #take(source: Uint8Array, start: number, end: number): void {
    const whole = !this.#walker.torn
    // A begun message is the only one that is held: its bytes may leave as they come.
    if (this.begun && this.#sizes.length === 0) {
      this.#ready.append(source, start, end)
      this.#begunBytes += end - start
      if (whole) this.#sizes.push(this.#begunBytes)
      if (whole) this.#begunBytes = 0
      return
    }
    if (!whole) return this.#partial.append(source, start, end)
    this.#sizes.push(this.#partial.length + end - start)
    this.#moveParts()
    this.#ready.append(source, start, end)
  }

  #moveParts(): void {
    this.#partial.forEach((chunk, start, end) => {
      this.#ready.append(chunk, start, end)
    })
    this.#partial.clear()
  }

  #fail(status: number, detail: string): void {
    if (this.ended) return
    if (this.#host.errorsEndStream) this.fatal = { status, detail }
    this.#host.countHeld(-this.#partial.length)
    this.#partial.clear()
    if (this.fatal === undefined)
      for (const { id } of this.#unanswered()) {
        const frame = streamError(id, detail)
        this.#host.countHeld(frame.length)
        this.#ready.append(frame, 0, frame.length)
        this.#sizes.push(frame.length)
      }
    this.#finish()
  }

  #unanswered(): readonly Turn[] {
    // Of several requests to a decoupled model nobody can say which are answered: the latest is not.
    if (this.turns[0]?.kind === 'decoupled') return this.turns.slice(-1)
    // Of a sequence each message answers one, also those that are held.
    return this.shared ? this.turns.slice(this.#sizes.length + this.unsettled) : this.turns
  }

  #finish(): void {
    if (this.ended) return
    this.ended = true
    this.#host.onReady(this)
  }
}

export function encodingOf(fields: readonly HeaderField[]): string {
  const field = fields.find((one) => one.name === 'grpc-encoding')
  return field === undefined ? 'identity' : String.fromCharCode(...field.value)
}
