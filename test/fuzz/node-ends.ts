/** node:http2 (that is, nghttp2) as the client or the server of planned exchanges, with settings of its own and readers that vary. */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  createServer,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2'
import type { Draw } from './draw.ts'
import type { Arrivals, Head, Part, Plan } from './exchange-plan.ts'
import type { SlowSocket } from './slow-socket.ts'
import { must } from './target.ts'

type OnFault = (error: Error) => void
type Stream = ClientHttp2Stream | ServerHttp2Stream

const optionsOf = (draw: Draw) => ({
  paddingStrategy: draw.pick([constants.PADDING_STRATEGY_NONE, constants.PADDING_STRATEGY_MAX, constants.PADDING_STRATEGY_CALLBACK]),
  settings: {
    // Not smaller: whoever draws bytes out one by one is cut off, and rightly.
    initialWindowSize: draw.pick([5_000, 20_000, 65_535, 1 << 20]),
    headerTableSize: draw.pick([0, 200, 4_096]),
    maxFrameSize: draw.pick([16_384, 40_000]),
  },
})

const headOf = (headers: IncomingHttpHeaders): Head =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]))

/** Writes a part's body; its trailers come when node asks for them. */
function writeBody(stream: Stream, { pieces, trailers }: Part): void {
  stream.on('wantTrailers', () => stream.sendTrailers(trailers))
  for (const piece of pieces) stream.write(piece)
  stream.end()
}

/** A reader that takes its time stops after what it got, until it is told to go on. */
class Pauses {
  readonly #slow: boolean
  readonly #paused = new Set<Stream>()

  constructor(slow: boolean) {
    this.#slow = slow
  }

  got(stream: Stream): void {
    if (!this.#slow) return
    stream.pause()
    this.#paused.add(stream)
  }

  release(): void {
    for (const stream of this.#paused) stream.resume()
    this.#paused.clear()
  }
}

function hear(stream: Stream, arrives: Arrivals, pauses: Pauses, onFault: OnFault): void {
  const guarded =
    <T>(act: (value: T) => void) =>
    (value: T): void => {
      try {
        act(value)
      } catch (error) {
        onFault(error as Error)
      }
    }
  stream.on(
    'data',
    guarded((bytes: Buffer) => {
      arrives.data(bytes, 0, bytes.length)
      pauses.got(stream)
    }),
  )
  stream.on(
    'trailers',
    guarded((trailers: IncomingHttpHeaders) => arrives.trailers(headOf(trailers))),
  )
  stream.on(
    'end',
    guarded(() => arrives.end()),
  )
  stream.on('error', onFault)
}

const bodyOptions = ({ pieces, trailers }: Part) => {
  const waitForTrailers = Object.keys(trailers).length > 0
  return { waitForTrailers, endStream: pieces.length === 0 && !waitForTrailers }
}

export class NodeClient {
  readonly session: ClientHttp2Session
  readonly #onFault: OnFault
  readonly #pauses: Pauses

  constructor(socket: SlowSocket, draw: Draw, onFault: OnFault) {
    this.#onFault = onFault
    this.#pauses = new Pauses(draw.oneIn(2))
    this.session = connect('http://fuzz', { createConnection: () => socket, ...optionsOf(draw) })
    this.session.on('error', onFault)
  }

  ask({ request, answerArrives }: Plan): void {
    const options = bodyOptions(request)
    const stream = this.session.request({ ...request.head }, options)
    stream.on('response', (headers) => {
      try {
        answerArrives.head(headOf(headers))
        // Not before: node tells of a head a tick later than of bytes that came with it.
        hear(stream, answerArrives, this.#pauses, this.#onFault)
      } catch (error) {
        this.#onFault(error as Error)
      }
    })
    stream.on('error', this.#onFault)
    if (!options.endStream) writeBody(stream, request)
  }

  release(): void {
    this.#pauses.release()
  }

  close(): void {
    this.session.destroy()
  }
}

export class NodeServer {
  readonly #sessions: Http2Session[] = []
  readonly #pauses: Pauses

  constructor(socket: SlowSocket, plans: readonly Plan[], draw: Draw, onFault: OnFault) {
    this.#pauses = new Pauses(draw.oneIn(2))
    const server = createServer(optionsOf(draw))
    server.on('session', (session) => this.#sessions.push(session))
    server.on('sessionError', onFault)
    server.on('stream', (stream, headers) => {
      try {
        const plan = plans[Number(headers['x-plan'])]
        must(plan !== undefined, 'a request that nobody planned')
        plan.requestArrives.head(headOf(headers))
        hear(stream, plan.requestArrives, this.#pauses, onFault)
        const options = bodyOptions(plan.answer)
        const answer = (): void => {
          if (stream.destroyed) return
          stream.respond({ ...plan.answer.head }, { ...options, sendDate: false } as typeof options)
          if (!options.endStream) writeBody(stream, plan.answer)
        }
        // Not before its request has ended: an answer that ends first cuts the request short.
        stream.once('end', answer)
      } catch (error) {
        onFault(error as Error)
      }
    })
    server.emit('connection', socket)
  }

  get session(): Http2Session | undefined {
    return this.#sessions[0]
  }

  release(): void {
    this.#pauses.release()
  }

  close(): void {
    for (const session of this.#sessions) session.destroy()
  }
}
