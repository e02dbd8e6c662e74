/**
 * One call through the relay and each attempt at it, as the client and the servers see it. Each attempt must get the client's bytes once and in order,
 * and the client the bytes of one attempt alone; success is only what a server ended as success, with every byte of it.
 */
import { type HeaderField, headerField } from '../../data-plane/http2/header-field.ts'
import type { Stream, StreamSink } from '../../data-plane/http2/stream.ts'
import type { Draw } from './draw.ts'
import { NOISE, SentLog } from './sent-log.ts'
import { must } from './target.ts'

export const PATHS = {
  infer: '/millrace.inference.v1.InferenceService/Infer',
  stream: '/inference.GRPCInferenceService/ModelStreamInfer',
  route: '/any.Service/Call',
} as const
export type Kind = keyof typeof PATHS

/** By its own name, and by another that is longer. */
export const MODEL = 'llm'
export const ALIAS = 'chat'
const naming = (model: string): Buffer => Buffer.from([0x0a, model.length, ...Buffer.from(model)])
const OK_HEAD = [headerField(':status', '200'), headerField('content-type', 'application/grpc')]
const PIECE_MAX = 500_000

const varint = (value: number): number[] => (value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)])

/** A gRPC message of protobuf: some fields in front, then noise in a field of its own. */
function framed(prelude: Uint8Array, tag: number, noise: Uint8Array): Buffer {
  const head = Buffer.concat([prelude, Buffer.from([tag, ...varint(noise.length)])])
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(head.length + noise.length, 1)
  return Buffer.concat([prefix, head, noise])
}

function noise(draw: Draw): Uint8Array {
  const length = draw.oneIn(16) ? draw.between(100_000, 1_000_000) : draw.size(20_000)
  const from = draw.below(NOISE.length - length)
  return NOISE.subarray(from, from + length)
}

/** A request, with what its field 7 holds, as a client sends it and as servers are to get it. Up to `known`, where field 7 begins, they differ. */
type Request = { readonly bytes: Buffer; readonly served: Buffer; readonly known: number }
function requestMessage(draw: Draw, model: string): Request {
  const body = noise(draw)
  return { bytes: framed(naming(model), 0x3a, body), served: framed(naming(MODEL), 0x3a, body), known: 5 + naming(model).length + 1 }
}

/** With what field 2 of a stream's answer holds. */
function answerMessage(draw: Draw): Buffer {
  const bytes = noise(draw)
  const inner = Buffer.concat([Buffer.from([0x32, ...varint(bytes.length)]), bytes])
  return framed(Buffer.alloc(0), 0x12, inner)
}

const UNAVAILABLE = 14
const pushback = (draw: Draw): HeaderField => headerField('grpc-retry-pushback-ms', draw.pick(['-1', 'soon', '0', '250', '20000']))

const textOf = (fields: readonly HeaderField[], name: string): string | undefined => fields.find((field) => field.name === name)?.text

export class Call implements StreamSink {
  readonly kind: Kind
  /** What the client has sent, as servers are to get it. */
  readonly sent: Buffer[] = []
  readonly attempts: Attempt[] = []
  readonly stream: Stream
  messages = 0
  /** The message that was begun last. */
  #request: Request | undefined
  /** Bytes of a request by another name that the client has sent. */
  #given = 0
  /** What is still to come of a message that has been begun. */
  rest: Buffer | undefined
  readonly #model: string
  halfClosed = false
  cancelled = false
  /** How the client was told that it is over. */
  over: { readonly status: number | undefined } | undefined
  hold: boolean
  #from: Attempt | undefined
  #held = 0

  constructor(kind: Kind, open: (fields: HeaderField[], end: boolean) => Stream, id: number, draw: Draw) {
    this.kind = kind
    this.hold = draw.oneIn(3)
    this.#model = kind !== 'route' && draw.oneIn(3) ? ALIAS : MODEL
    const timeout = draw.oneIn(6) ? [headerField('grpc-timeout', `${draw.between(1, 5_000)}m`)] : []
    this.halfClosed = kind !== 'infer' && draw.oneIn(15)
    const fields = [
      ...[headerField(':method', 'POST'), headerField(':scheme', 'http'), headerField(':path', PATHS[kind])],
      ...[headerField('content-type', 'application/grpc'), headerField('te', 'trailers'), headerField('x-call', String(id)), ...timeout],
    ]
    this.stream = open(fields, this.halfClosed)
    this.stream.sink = this
  }

  get maySend(): boolean {
    return !this.halfClosed && !this.cancelled && this.over === undefined
  }

  /** Begins a message, or goes on with the one that was begun. */
  send(draw: Draw, whole = false): void {
    if (!this.maySend) return
    if (this.rest === undefined) {
      // Several messages on one stream may go to several servers; what is held against one attempt here is the stream of one.
      if (this.kind !== 'route' && this.messages > 0) return this.halfClose()
      this.#request = requestMessage(draw, this.#model)
      this.rest = this.#request.bytes
      this.messages++
    }
    const count = whole ? this.rest.length : Math.min(this.rest.length, draw.size(PIECE_MAX) + 1)
    const piece = this.rest.subarray(0, count)
    this.rest = count === this.rest.length ? undefined : this.rest.subarray(count)
    const last = this.rest === undefined && (this.kind === 'infer' || draw.oneIn(6))
    this.#give(piece, last)
  }

  halfClose(): void {
    if (!this.maySend) return
    this.#give(this.rest ?? Buffer.alloc(0), true)
    this.rest = undefined
  }

  #give(piece: Buffer, last: boolean): void {
    const served = this.#servedOf(piece)
    this.sent.push(served)
    for (const attempt of this.attempts) attempt.expected.sent(served)
    this.halfClosed = last
    this.stream.sendData(piece, 0, piece.length, last)
  }

  /** Under another name nothing goes on before it is known that no more names follow. */
  #servedOf(piece: Buffer): Buffer {
    if (this.#model === MODEL || this.#request === undefined || piece.length === 0) return piece
    const { bytes, served, known } = this.#request
    const at = (sent: number): number => (sent < known ? 0 : sent - bytes.length + served.length)
    const from = this.#given
    this.#given += piece.length
    return served.subarray(at(from), at(this.#given))
  }

  cancel(): void {
    if (this.cancelled || this.over !== undefined) return
    this.cancelled = true
    this.stream.reset(8)
  }

  /** Gives back the credit that it held, and may go on to hold. */
  release(again = false): void {
    this.hold = again
    this.stream.returnCredit(this.#held, true)
    this.#held = 0
  }

  onHead(_stream: Stream, fields: HeaderField[], endStream: boolean): void {
    const index = textOf(fields, 'x-attempt')
    this.#from = index === undefined ? undefined : this.attempts[Number(index)]
    if (endStream) return this.#end(Number(textOf(fields, 'grpc-status')))
    must(this.#from !== undefined, 'an answer begins that no server began')
  }

  onData(stream: Stream, source: Uint8Array, start: number, end: number, endStream: boolean): void {
    must(this.#from !== undefined && !endStream, 'an answer of no server, or one that ends without a status')
    this.#from.answered.receive(source, start, end)
    if (this.hold) this.#held += end - start
    else stream.returnCredit(end - start, true)
  }

  onTrailers(_stream: Stream, fields: HeaderField[]): void {
    this.#end(Number(textOf(fields, 'grpc-status')))
  }

  onReset(_stream: Stream, code: number): void {
    // Behind a whole answer: the rest of the request is not wanted.
    if (this.over !== undefined && code === 0) return
    must(code !== 8 && code !== 0, `a server's failure reaches the client as reset ${code}`)
    this.#end(undefined)
  }

  onLost(): void {
    if (this.over === undefined) this.#end(undefined)
  }

  onSent(): void {}

  #end(status: number | undefined): void {
    must(this.over === undefined && !this.cancelled, 'a call ends once')
    this.over = { status }
    if (status !== 0) return
    const from = this.#from
    if (from === undefined) return must(this.kind === 'stream' && this.messages === 0, 'success that no server gave')
    must(from.status === 0, `success where the server ${from.status === undefined ? 'broke' : `said ${from.status}`}`)
    must(from.answered.left === 0, `success, and ${from.answered.left} bytes are missing`)
  }
}

export class Attempt implements StreamSink {
  readonly call: Call
  readonly stream: Stream
  readonly expected: SentLog
  readonly answered: SentLog
  readonly index: number
  /** What it said at its end; undefined: nothing yet, or it broke. */
  status: number | undefined
  over = false
  hold: boolean
  #heardEnd = false
  #headSent = false
  #rest: Buffer | undefined
  #held = 0

  constructor(call: Call, stream: Stream, draw: Draw) {
    this.call = call
    this.stream = stream
    this.index = call.attempts.length
    this.hold = draw.oneIn(3)
    this.expected = new SentLog(`attempt ${this.index}, request`)
    this.answered = new SentLog(`attempt ${this.index}, answer`)
    for (const piece of call.sent) this.expected.sent(piece)
    call.attempts.push(this)
    stream.sink = this
  }

  #head(...more: HeaderField[]): HeaderField[] {
    return [...OK_HEAD, headerField('x-attempt', String(this.index)), ...more]
  }

  begin(): void {
    if (this.over || this.#headSent) return
    this.#headSent = true
    this.stream.sendHead(this.#head(), false)
  }

  answer(draw: Draw, whole = false): void {
    if (this.over) return
    this.begin()
    this.#rest ??= answerMessage(draw)
    const count = whole ? this.#rest.length : Math.min(this.#rest.length, draw.size(PIECE_MAX) + 1)
    const piece = this.#rest.subarray(0, count)
    this.#rest = count === this.#rest.length ? undefined : this.#rest.subarray(count)
    this.answered.sent(piece)
    this.stream.sendData(piece, 0, piece.length, false)
  }

  /** As a server should: whole messages, then a status. */
  finish(draw: Draw, status = draw.oneIn(4) ? draw.pick([2, 3, 5, 8, 13, 14]) : 0): void {
    if (this.over) return
    if (this.#rest !== undefined) this.answer(draw, true)
    this.over = true
    this.status = status
    const end = headerField('grpc-status', String(status))
    if (this.#headSent) this.stream.sendTrailers([end])
    else this.stream.sendHead(this.#head(end, ...(status === UNAVAILABLE && draw.oneIn(2) ? [pushback(draw)] : [])), true)
  }

  /** As a server should not: none of these may look like success. */
  misbehave(draw: Draw): void {
    if (this.over) return
    this.over = true
    switch (draw.below(4)) {
      case 0:
        return this.stream.reset(draw.pick([0, 1, 2, 7, 8, 11]))
      case 1:
        if (!this.#headSent) return this.stream.sendHead([headerField(':status', draw.pick(['503', '404', '200']))], true)
        return void this.stream.sendData(new Uint8Array(0), 0, 0, true)
      case 2:
        if (!this.#headSent) return this.stream.sendHead(this.#head(), true)
        return this.stream.sendTrailers([headerField('x-no', 'status')])
      default: {
        if (this.#rest === undefined) this.#rest = answerMessage(draw)
        const torn = this.#rest.subarray(0, this.#rest.length - 1)
        if (!this.#headSent) this.stream.sendHead(this.#head(), false)
        this.answered.sent(torn)
        this.stream.sendData(torn, 0, torn.length, false)
        this.stream.sendTrailers([headerField('grpc-status', '0')])
      }
    }
  }

  /** Gives back the credit that it held, and may go on to hold. */
  release(again = false): void {
    this.hold = again
    this.stream.returnCredit(this.#held, true)
    this.#held = 0
  }

  onHead(): void {
    must(false, 'a response head reaches a server')
  }

  onData(stream: Stream, source: Uint8Array, start: number, end: number, endStream: boolean): void {
    must(!this.#heardEnd, 'a request goes on behind its end')
    this.expected.receive(source, start, end)
    if (this.hold) this.#held += end - start
    else stream.returnCredit(end - start, true)
    if (endStream) this.hearEnd()
  }

  hearEnd(): void {
    this.#heardEnd = true
    must(this.expected.left === 0, `a request ends ${this.expected.left} bytes early`)
    must(this.call.halfClosed || this.call.kind === 'stream', 'a request ends that its client did not end')
  }

  onTrailers(): void {
    must(false, 'request trailers go on')
  }

  onReset(): void {
    this.over = true
  }

  onLost(): void {
    this.over = true
  }

  onSent(): void {}
}
