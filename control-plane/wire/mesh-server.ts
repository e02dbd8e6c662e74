/** The mesh stream of each proxy: parses what it says into events, and writes bytes that are encoded already. Decides nothing. */
import { type ServerDuplexStream, status } from '@grpc/grpc-js'
import type { GrpcService } from '../../core/edge/grpc-serve.ts'
import type { Logger } from '../../core/edge/log.ts'
import { limits } from '../../core/limits.ts'
import { type ConnectRequest, ConnectResponse, MeshServiceService } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import type { StreamId } from '../state.ts'
import { type AskedProxy, ExplainDesk } from './explain-desk.ts'
import { HandOver } from './hand-over.ts'
import type { LoopRunner } from './loop-runner.ts'

type Encoded = Buffer | ConnectResponse
type Call = ServerDuplexStream<ConnectRequest, Encoded>
/** A proxy's stream; its name is known once it has said hello. */
type Seat = { readonly call: Call; proxyId: string | undefined }

const PROXY_ID_MAX = 128

export class MeshServer {
  readonly #dispatch: LoopRunner['dispatch']
  readonly #log: Logger
  readonly #seats = new Map<StreamId, Seat>()
  readonly handOver = new HandOver({
    write: (stream, message) => this.#write(stream, message),
    now: () => performance.now(),
    nextTurn: setImmediate,
  })
  readonly explain = new ExplainDesk(() => this.#askable())
  #lastStream: StreamId = 0

  constructor(runner: Pick<LoopRunner, 'dispatch'>, log: Logger) {
    this.#dispatch = (event) => runner.dispatch(event)
    this.#log = log
  }

  get service(): GrpcService {
    const connect = {
      ...MeshServiceService.connect,
      responseSerialize: (message: Encoded): Buffer =>
        Buffer.isBuffer(message) ? message : Buffer.from(ConnectResponse.encode(message).finish()),
    }
    return { name: 'millrace.mesh.v1.MeshService', definition: { connect }, handlers: { connect: (call: Call) => this.#connect(call) } }
  }

  #write(stream: StreamId, message: Buffer): void {
    const call = this.#seats.get(stream)?.call
    if (call !== undefined && !call.write(message)) this.#dispatch({ kind: 'proxy-blocked', stream, blocked: true })
  }

  /** Each proxy sees a clean end, keeps its last good picture and asks elsewhere. */
  close(): void {
    this.handOver.drop()
    for (const { call } of this.#seats.values()) call.end()
  }

  #askable(): AskedProxy[] {
    return [...this.#seats].flatMap(([stream, { call, proxyId }]) =>
      proxyId === undefined ? [] : [{ proxyId, stream, ask: (value) => void call.write({ message: { $case: 'explain', value } }) }],
    )
  }

  #connect(call: Call): void {
    if (this.#seats.size >= limits.proxiesMax) {
      call.emit('error', { code: status.RESOURCE_EXHAUSTED, details: `this control plane serves ${limits.proxiesMax} proxies already` })
      return
    }
    const stream = ++this.#lastStream
    const seat: Seat = { call, proxyId: undefined }
    this.#seats.set(stream, seat)
    const gone = (): void => {
      if (!this.#seats.delete(stream)) return
      this.#dispatch({ kind: 'proxy-gone', stream })
      this.#log.info({ proxyId: seat.proxyId, stream }, 'proxy.gone')
    }
    const refuse = (details: string): void => {
      gone()
      call.emit('error', { code: status.INVALID_ARGUMENT, details })
    }
    call.on('data', ({ message }: ConnectRequest) => {
      if (!this.#seats.has(stream)) return
      if ((message?.$case === 'hello') !== (seat.proxyId === undefined)) refuse('the first message, and only the first, is a hello')
      else if (message?.$case !== 'hello') this.#heard(stream, message, seat.proxyId)
      else if (message.value.proxyId === '' || message.value.proxyId.length > PROXY_ID_MAX)
        refuse(`proxy_id wants 1 to ${PROXY_ID_MAX} letters`)
      else {
        seat.proxyId = message.value.proxyId
        this.#log.info({ proxyId: seat.proxyId, stream, holds: Object.keys(message.value.endpointVersions).length }, 'proxy.hello')
        this.#dispatch({ kind: 'proxy-hello', stream, hello: message.value })
      }
    })
    call.on('drain', () => this.#dispatch({ kind: 'proxy-blocked', stream, blocked: false }))
    call.on('end', () => {
      gone()
      call.end()
    })
    // `cancelled` comes after a clean end too: it says that the stream is over, not that something is wrong.
    for (const event of ['cancelled', 'close', 'error'] as const) call.on(event, gone)
  }

  #heard(stream: StreamId, message: ConnectRequest['message'], proxyId: string | undefined): void {
    switch (message?.$case) {
      case 'ack':
        this.#dispatch({ kind: 'proxy-ack', stream, nonce: message.value.nonce })
        return
      case 'nack':
        this.#log.warn({ proxyId, nonce: message.value.nonce, reason: message.value.reason.slice(0, limits.reportTextMax) }, 'proxy.nack')
        this.#dispatch({ kind: 'proxy-nack', stream, nonce: message.value.nonce, reason: message.value.reason })
        return
      case 'report':
        this.#dispatch({ kind: 'proxy-report', stream, report: message.value })
        return
      case 'explained':
        this.explain.answered(stream, message.value)
        return
      default:
        // A newer proxy may say more than this control plane understands.
        return
    }
  }
}
