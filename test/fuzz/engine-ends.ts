/** Our engine behind our socket link, as the client or the server of planned exchanges. Reads go through one buffer that is overwritten. */
import type { Socket } from 'node:net'
import { limits } from '../../core/limits.ts'
import { type HeaderField, headerField } from '../../data-plane/http2/header-field.ts'
import { ERROR } from '../../data-plane/http2/protocol.ts'
import type { Shared } from '../../data-plane/http2/shared.ts'
import type { Stream, StreamSink } from '../../data-plane/http2/stream.ts'
import { Flusher, type LinkOwner, SocketLink } from '../../data-plane/wire/socket-link.ts'
import type { Draw } from './draw.ts'
import type { Arrivals, Head, Part, Plan } from './exchange-plan.ts'
import type { SlowSocket } from './slow-socket.ts'
import { Breach, must } from './target.ts'

const readBuffer = new Uint8Array(limits.readBufferSize)
const USED = 0xee

const fieldsOf = (head: Head): HeaderField[] => Object.entries(head).map(([name, value]) => headerField(name, value))
const headOf = (fields: readonly HeaderField[]): Head => Object.fromEntries(fields.map((field) => [field.name, field.text]))

/** Sends the pieces from one on, and the end. */
function sendRest(stream: Stream, { pieces, trailers }: Part, from: number): void {
  const ends = Object.keys(trailers).length === 0
  for (const [i, piece] of pieces.entries()) if (i >= from) stream.sendData(piece, 0, piece.length, ends && i === pieces.length - 1)
  if (!ends) stream.sendTrailers(fieldsOf(trailers))
  else if (from >= pieces.length) stream.sendData(readBuffer, 0, 0, true)
}

export class EngineEnd {
  readonly link: SocketLink
  readonly #plans: readonly Plan[]
  readonly #slow: boolean
  readonly #held: (() => void)[] = []
  readonly #onFault: (error: Error) => void

  constructor(
    socket: SlowSocket,
    role: 'client' | 'server',
    plans: readonly Plan[],
    shared: Shared,
    draw: Draw,
    onFault: (error: Error) => void,
  ) {
    this.#plans = plans
    this.#slow = draw.oneIn(2)
    this.#onFault = onFault
    const owner: LinkOwner = {
      onRequest: (stream, fields, endStream) => this.#serve(stream, fields, endStream),
      onBadRequest: (_stream, problem) => must(false, `a request is called ${problem}`),
      onCapacity: () => {},
      onClosed: () => {},
    }
    this.link = new SocketLink(socket as unknown as Socket, role, owner, new Flusher(), shared)
    this.link.up()
    socket.on('data', (bytes: Buffer) => {
      try {
        for (let at = 0; at < bytes.length; at += readBuffer.length) {
          const piece = bytes.subarray(at, at + readBuffer.length)
          readBuffer.set(piece)
          this.link.take(readBuffer, piece.length)
          readBuffer.fill(USED, 0, piece.length)
        }
      } catch (error) {
        onFault(error as Error)
      }
    })
  }

  get idle(): boolean {
    const { connection } = this.link
    return connection.streams.size === 0 && connection.output.size === 0
  }

  get mayAsk(): boolean {
    return this.link.connection.canOpen
  }

  ask(plan: Plan): void {
    const { request, answerArrives } = plan
    const bare = request.pieces.length === 0 && Object.keys(request.trailers).length === 0
    const stream = this.link.connection.open(fieldsOf(request.head), bare)
    stream.sink = this.#sink(answerArrives, () => {})
    if (!bare) sendRest(stream, request, 0)
  }

  #serve(stream: Stream, fields: readonly HeaderField[], endStream: boolean): void {
    const head = headOf(fields)
    const plan = this.#plans[Number(head['x-plan'])]
    must(plan !== undefined, 'a request that nobody planned')
    const { answer, early, requestArrives } = plan
    const finish = (): void => sendRest(stream, answer, early)
    stream.sink = this.#sink(requestArrives, finish)
    requestArrives.head(head)
    const bare = answer.pieces.length === 0 && Object.keys(answer.trailers).length === 0 && endStream
    stream.sendHead(fieldsOf(answer.head), bare)
    for (const piece of answer.pieces.slice(0, early)) stream.sendData(piece, 0, piece.length, false)
    if (!endStream) return
    requestArrives.end()
    if (!bare) finish()
  }

  /** A reader that takes its time gives its credit back all at once, later. */
  release(): void {
    for (const give of this.#held.splice(0)) give()
  }

  #sink(arrives: Arrivals, onEnd: () => void): StreamSink {
    const end = (): void => {
      arrives.end()
      onEnd()
    }
    return {
      onHead: (_stream, fields, endStream) => {
        arrives.head(headOf(fields))
        if (endStream) end()
      },
      onData: (stream, source, start, stop, endStream) => {
        arrives.data(source, start, stop)
        if (this.#slow) this.#held.push(() => stream.returnCredit(stop - start, false))
        else stream.returnCredit(stop - start, true)
        if (endStream) end()
      },
      onTrailers: (_stream, fields) => {
        arrives.trailers(headOf(fields))
        end()
      },
      onReset: (_stream, code) => {
        if (code !== ERROR.NO_ERROR || !arrives.ended) this.#onFault(new Breach(`reset ${code}`))
      },
      onLost: (_stream, cause) => {
        if (!arrives.ended) this.#onFault(new Breach(`lost: ${cause}`))
      },
      onSent: () => {},
    }
  }
}
