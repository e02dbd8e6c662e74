/** One upstream stream of several requests, as its server sees it: whole messages of one request, or of one sequence, exactly as the client wrote them. */
import { headerField } from '../../data-plane/http2/header-field.ts'
import type { Stream, StreamSink } from '../../data-plane/http2/stream.ts'
import { ModelInferRequest, ModelInferResponse, ModelStreamInferResponse } from '../../proto/gen/inference/grpc_service.ts'
import type { Draw } from './draw.ts'
import { framed } from './infer-bytes.ts'
import { type Asked, Cutter, noise, type SeveralCall } from './several-call.ts'
import { must } from './target.ts'

const OK_HEAD = [headerField(':status', '200'), headerField('content-type', 'application/grpc')]
const PIECE_MAX = 200_000
const TOKENS_MAX = 6

/** An answer on its way. */
/** Models whose requests may be at two servers at once, while neither answers. */
export const HEDGED: readonly string[] = ['plain', 'tokens']

export type Said = { readonly by: SeveralAttempt; readonly asked: Asked; readonly number: number; readonly bytes: Buffer }

export class SeveralAttempt implements StreamSink {
  readonly server: string
  readonly asked: Asked[] = []
  readonly stream: Stream
  /** Answers that it began, and those that reached the client. */
  answered = 0
  arrived = 0
  over = false
  /** It said OK. */
  ended = false
  hold: boolean
  readonly #call: SeveralCall
  readonly #name: string
  readonly #said: Map<string, Said>
  readonly #cutter = new Cutter()
  #heardEnd = false
  #headSent = false
  #rest: Buffer | undefined
  #held = 0

  constructor(name: string, server: string, call: SeveralCall, stream: Stream, said: Map<string, Said>, draw: Draw) {
    this.#name = name
    this.server = server
    this.#call = call
    this.stream = stream
    this.#said = said
    this.hold = draw.oneIn(3)
    stream.sink = this
  }

  get decoupled(): boolean {
    return this.asked[0]?.kind === 'decoupled'
  }

  /** Begins an answer, or goes on with one. */
  answer(draw: Draw, whole = false): void {
    if (this.over) return
    this.#rest ??= this.#next(draw)
    if (this.#rest === undefined) return
    if (!this.#headSent) this.stream.sendHead(OK_HEAD, false)
    this.#headSent = true
    const count = whole ? this.#rest.length : Math.min(this.#rest.length, draw.size(PIECE_MAX) + 1)
    const piece = this.#rest.subarray(0, count)
    this.#rest = count === this.#rest.length ? undefined : this.#rest.subarray(count)
    this.stream.sendData(piece, 0, piece.length, false)
  }

  /** What it began, it ends. */
  complete(draw: Draw): void {
    if (this.#rest !== undefined) this.answer(draw, true)
  }

  #next(draw: Draw): Buffer | undefined {
    const asked = this.decoupled ? this.asked[0] : this.asked[this.answered]
    if (asked === undefined || this.answered >= TOKENS_MAX * 2) return undefined
    const inferResponse = ModelInferResponse.fromPartial({
      ...{ id: asked.id, modelName: this.#name, modelVersion: String(this.answered) },
      rawOutputContents: [Buffer.from(noise(draw, 180_000))],
    })
    const bytes = framed(ModelStreamInferResponse.encode({ errorMessage: '', inferResponse }).finish(), 'identity')
    this.#said.set(`${this.#name}/${this.answered}`, { by: this, asked, number: this.answered, bytes })
    this.answered++
    return bytes
  }

  /** As a server should: everything answered, then success; and only once its client has nothing more to ask. */
  finish(draw: Draw): void {
    if (this.over || !this.#heardEnd) return
    for (let turn = 0; turn < TOKENS_MAX * 2 && !this.decoupled && this.answered < this.asked.length; turn++) this.answer(draw, true)
    this.complete(draw)
    this.over = true
    this.ended = true
    const status = headerField('grpc-status', '0')
    if (this.#headSent) this.stream.sendTrailers([status])
    else this.stream.sendHead([...OK_HEAD, status], true)
  }

  /** Any of these is an error of its requests, and of no other. */
  fail(draw: Draw): void {
    if (this.over) return
    this.over = true
    if (draw.oneIn(3)) return this.stream.reset(draw.pick([1, 2, 7, 8, 11]))
    const status = [headerField('grpc-status', String(draw.pick([2, 3, 5, 8, 13, 14]))), headerField('grpc-message', 'broken')]
    if (this.#headSent) this.stream.sendTrailers(status)
    else this.stream.sendHead([...OK_HEAD, ...status], true)
  }

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
    for (const message of this.#cutter.take(source, start, end)) this.#hear(message)
    if (this.hold) this.#held += end - start
    else stream.returnCredit(end - start, true)
    if (endStream) this.hearEnd()
  }

  hearEnd(): void {
    this.#heardEnd = true
    must(!this.#cutter.torn, 'a request ends in the middle of a message')
  }

  #hear(message: Buffer): void {
    const { id } = ModelInferRequest.decode(message.subarray(5))
    const asked = this.#call.asked.find((one) => one.id === id)
    must(asked !== undefined, `a request ${JSON.stringify(id)} that this client never made`)
    must(asked.bytes.equals(message), 'a request is not what its client wrote')
    const [first] = this.asked
    if (first !== undefined)
      must(asked.sequence !== '' && asked.sequence === first.sequence && asked.model === first.model, 'two requests share a stream')
    must(asked.index > (this.asked.at(-1)?.index ?? -1), 'a request comes twice, or before one that was made earlier')
    const besides = asked.attempts.filter((one) => !one.over).length
    must(besides < (HEDGED.includes(asked.model) && asked.sequence === '' ? 2 : 1), 'a request goes to more servers than it may')
    this.asked.push(asked)
    asked.attempts.push(this)
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
