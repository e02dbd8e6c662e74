/**
 * A client's stream of several requests as its client sees it. Each message that comes must be one that a server said for a request of this stream, whole,
 * once and in its server's order, or an error that names the request. Answers of models in order come in the order of the requests.
 */
import { type HeaderField, headerField } from '../../data-plane/http2/header-field.ts'
import type { Stream, StreamSink } from '../../data-plane/http2/stream.ts'
import { ModelInferRequest, ModelStreamInferResponse } from '../../proto/gen/inference/grpc_service.ts'
import type { Draw } from './draw.ts'
import { framed } from './infer-bytes.ts'
import { NOISE } from './sent-log.ts'
import type { Said, SeveralAttempt } from './several-attempt.ts'
import { must } from './target.ts'

const PATH = '/inference.GRPCInferenceService/ModelStreamInfer'
const REQUESTS_MAX = 12
const PIECE_MAX = 300_000
/** A message that has no model within the scan budget is refused with its whole stream. */
const SCANNED_MAX = 30_000

/** How a model answers; `refused` are those that no server has. */
export type Kind = 'in-order' | 'decoupled' | 'late' | 'refused'
export const MODELS: Readonly<Record<string, Kind>> = {
  plain: 'in-order',
  slow: 'in-order',
  tokens: 'decoupled',
  late: 'late',
  nobody: 'refused',
  '': 'refused',
}

export type Asked = {
  readonly index: number
  readonly id: string
  readonly model: string
  readonly kind: Kind
  /** Empty: it is alone. */
  readonly sequence: string
  /** Nothing of the sequence follows. */
  readonly ends: boolean
  readonly bytes: Buffer
  readonly attempts: SeveralAttempt[]
  answers: number
  errors: number
}

export function noise(draw: Draw, most: number): Uint8Array {
  const length = draw.oneIn(10) ? draw.size(most) : draw.size(3_000)
  const from = draw.below(NOISE.length - length)
  return NOISE.subarray(from, from + length)
}

/** Cuts messages out of a stream of bytes. */
export class Cutter {
  #bytes = Buffer.alloc(0)

  get torn(): boolean {
    return this.#bytes.length > 0
  }

  take(source: Uint8Array, start: number, end: number): Buffer[] {
    this.#bytes = Buffer.concat([this.#bytes, source.subarray(start, end)])
    const messages: Buffer[] = []
    while (this.#bytes.length >= 5 && this.#bytes.length >= 5 + this.#bytes.readUInt32BE(1)) {
      const length = 5 + this.#bytes.readUInt32BE(1)
      messages.push(this.#bytes.subarray(0, length))
      this.#bytes = this.#bytes.subarray(length)
    }
    return messages
  }
}

export class SeveralCall implements StreamSink {
  readonly asked: Asked[] = []
  readonly stream: Stream
  readonly #id: number
  /** What servers have said and nobody has heard, by the name of the server's stream and a number. */
  readonly #said: Map<string, Said>
  readonly #cutter = new Cutter()
  #rest: Buffer | undefined
  #held = 0
  #latest = -1
  halfClosed = false
  cancelled = false
  over: { readonly status: number | undefined } | undefined
  hold: boolean

  constructor(id: number, open: (fields: HeaderField[]) => Stream, said: Map<string, Said>, draw: Draw) {
    this.#id = id
    this.#said = said
    this.hold = draw.oneIn(3)
    const timeout = draw.oneIn(8) ? [headerField('grpc-timeout', `${draw.between(1, 5_000)}m`)] : []
    this.stream = open([
      ...[headerField(':method', 'POST'), headerField(':scheme', 'http'), headerField(':path', PATH)],
      ...[headerField('content-type', 'application/grpc'), headerField('te', 'trailers'), headerField('x-call', String(id)), ...timeout],
    ])
    this.stream.sink = this
  }

  get maySend(): boolean {
    return !this.halfClosed && !this.cancelled && this.over === undefined
  }

  /** Begins a request, or goes on with the one that was begun. */
  send(draw: Draw): void {
    if (!this.maySend || (this.#rest === undefined && this.asked.length >= REQUESTS_MAX)) return
    this.#rest ??= this.#ask(draw)
    const count = Math.min(this.#rest.length, draw.size(PIECE_MAX) + 1)
    const piece = this.#rest.subarray(0, count)
    this.#rest = count === this.#rest.length ? undefined : this.#rest.subarray(count)
    this.stream.sendData(piece, 0, piece.length, false)
  }

  /** Behind a whole message. */
  halfClose(): void {
    if (!this.maySend) return
    const rest = this.#rest ?? Buffer.alloc(0)
    this.halfClosed = true
    this.stream.sendData(rest, 0, rest.length, true)
  }

  cancel(): void {
    if (this.cancelled || this.over !== undefined) return
    this.cancelled = true
    this.stream.reset(8)
  }

  release(again = false): void {
    this.hold = again
    this.stream.returnCredit(this.#held, true)
    this.#held = 0
  }

  #ask(draw: Draw): Buffer {
    const index = this.asked.length
    const id = `${this.#id}-${index}`
    const model = draw.pick(['plain', 'plain', 'slow', 'slow', 'tokens', 'tokens', 'late', draw.pick(Object.keys(MODELS))])
    const kind = MODELS[model] ?? 'refused'
    const sequence = (kind === 'in-order' || kind === 'late') && draw.oneIn(3) ? `s${draw.below(2)}` : ''
    const ends = draw.oneIn(6)
    const parameters =
      sequence === ''
        ? {}
        : {
            sequence_id: { parameterChoice: { $case: 'stringParam' as const, value: sequence } },
            sequence_end: { parameterChoice: { $case: 'boolParam' as const, value: ends } },
          }
    const request = ModelInferRequest.fromPartial({
      modelName: model,
      id,
      parameters,
      rawInputContents: [Buffer.from(noise(draw, model === '' ? SCANNED_MAX : 120_000))],
    })
    const bytes = framed(ModelInferRequest.encode(request).finish(), 'identity')
    this.asked.push({ index, id, model, kind, sequence, ends, bytes, attempts: [], answers: 0, errors: 0 })
    return bytes
  }

  onHead(_stream: Stream, fields: HeaderField[], endStream: boolean): void {
    if (endStream) this.#end(fields)
  }

  onData(stream: Stream, source: Uint8Array, start: number, end: number, endStream: boolean): void {
    must(!endStream, 'an answer that ends without a status')
    for (const message of this.#cutter.take(source, start, end)) this.#hear(message)
    if (this.hold) this.#held += end - start
    else stream.returnCredit(end - start, true)
  }

  onTrailers(_stream: Stream, fields: HeaderField[]): void {
    this.#end(fields)
  }

  onReset(_stream: Stream, code: number): void {
    if (this.over !== undefined && code === 0) return
    must(code !== 8 && code !== 0, `a server's failure reaches the client as reset ${code}`)
    this.over = { status: undefined }
  }

  onLost(): void {
    this.over ??= { status: undefined }
  }

  onSent(): void {}

  #hear(message: Buffer): void {
    const { errorMessage, inferResponse } = ModelStreamInferResponse.decode(message.subarray(5))
    const asked = this.asked.find(({ id }) => id === inferResponse?.id)
    must(asked !== undefined, `an answer to ${JSON.stringify(inferResponse?.id)}, which this stream never asked`)
    if (errorMessage === '') this.#onAnswer(asked, message, `${inferResponse?.modelName}/${inferResponse?.modelVersion}`)
    else asked.errors++
    must(asked.errors <= 1, `${asked.errors} errors for one request`)
    must(asked.kind === 'decoupled' || asked.answers <= 1, `${asked.answers} answers to one request`)
    if (asked.kind !== 'in-order' && asked.kind !== 'refused') return
    must(asked.index >= this.#latest, `request ${asked.index} of a model in order is answered behind request ${this.#latest}`)
    this.#latest = asked.index
  }

  #onAnswer(asked: Asked, message: Buffer, name: string): void {
    const said = this.#said.get(name)
    must(said !== undefined && said.asked === asked, `an answer that came twice, or that no server gave: ${name}`)
    must(said.bytes.equals(message), 'an answer is not what its server said')
    this.#said.delete(name)
    must(said.number === said.by.arrived, `answer ${said.number} of a server comes before answer ${said.by.arrived}`)
    must(asked.errors === 0, 'an answer behind its error')
    said.by.arrived++
    asked.answers++
  }

  #end(fields: readonly HeaderField[]): void {
    must(this.over === undefined && !this.cancelled, 'a stream ends once')
    const status = Number(fields.find(({ name }) => name === 'grpc-status')?.text)
    this.over = { status }
    must(!this.#cutter.torn, 'a stream ends in the middle of a message')
    if (status !== 0) return
    must(this.halfClosed, 'success before the client had asked everything')
    for (const { index, model, kind, sequence, answers, errors, attempts } of this.asked) {
      // What ends a sequence later is no error of a request that it has answered.
      if (errors > 0 || (sequence !== '' && (answers > 0 || kind === 'late'))) continue
      must(answers > 0 || model === 'tokens', `success, and request ${index} of ${model} is not answered`)
      // Of two that were asked at once one answers; what the other said is nobody's.
      const whole = attempts.some((one) => one.ended && one.arrived === one.answered)
      must(
        whole && attempts.every((one) => one.arrived === 0 || one.arrived === one.answered),
        `success, and answers to request ${index} of ${model}${sequence} are missing: ${attempts.map((one) => `${one.arrived} of ${one.answered}`)}`,
      )
    }
  }
}
