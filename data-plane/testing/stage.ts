/** The whole story in memory, for tests: a client's connection, the service, and a server's connection for each endpoint. */
import { limits } from '../../core/limits.ts'
import {
  type Admission,
  EMPTY_SNAPSHOT,
  type Endpoint,
  type HedgeRule,
  type Model,
  type Protocol,
  type RetryRule,
  type Timeouts,
} from '../../core/mesh-snapshot.ts'
import { type Millis, millis } from '../../core/units.ts'
import { ModelInferRequest } from '../../proto/gen/inference/grpc_service.ts'
import { newRequestTally } from '../admission/request-tally.ts'
import { RetryBudget } from '../admission/retry-budget.ts'
import { TimerWheel } from '../admission/timer-wheel.ts'
import type { Connection } from '../http2/connection.ts'
import { type HeaderField, headerField } from '../http2/header-field.ts'
import type { Stream } from '../http2/stream.ts'
import { OutlierWatch } from '../outliers/outlier-watch.ts'
import type { AnswerKind } from '../relay/answer-order.ts'
import { EndpointSlot } from '../routing/endpoint-slot.ts'
import { Ledger } from '../routing/ledger.ts'
import { RoutingTable } from '../routing/routing-table.ts'
import { RequestService } from '../serve-request.ts'
import { openInflater } from '../wire/inflate.ts'
import { Side, settle } from './side.ts'

export const INFER = '/inference.GRPCInferenceService/ModelInfer'
export const STREAM = '/millrace.inference.v1.InferenceService/StreamInfer'
const NONE: ModelInferRequest = { modelName: '', modelVersion: '', id: '', parameters: {}, inputs: [], outputs: [], rawInputContents: [] }

export const message = (model: string, size = 10, more: Partial<ModelInferRequest> = {}): Uint8Array => {
  const body = ModelInferRequest.encode({ ...NONE, modelName: model, rawInputContents: [Buffer.alloc(size, 5)], ...more }).finish()
  const framed = Buffer.alloc(5 + body.length)
  framed.writeUInt32BE(body.length, 1)
  framed.set(body, 5)
  return framed
}
export const head = (path: string, ...more: HeaderField[]): HeaderField[] => [
  headerField(':method', 'POST'),
  headerField(':scheme', 'http'),
  headerField(':path', path),
  headerField('content-type', 'application/grpc'),
  headerField('te', 'trailers'),
  ...more,
]
export const OK_HEAD = [headerField(':status', '200'), headerField('content-type', 'application/grpc')]
export const OK_END = [headerField('grpc-status', '0')]

export type StageOptions = {
  readonly nameEndpoints?: boolean
  readonly timeouts?: Timeouts
  readonly retry?: RetryRule
  readonly hedge?: HedgeRule
  /** Of the model `llm`. */
  readonly admission?: Admission
  /** Of every endpoint; unknown by default. */
  readonly capacity?: number
  /** In the place of a row for `llm`. */
  readonly rows?: readonly Model[]
  /** One draw after the other; behind the last, and without any, 0.5. */
  readonly draws?: readonly number[]
  /** By endpoint; an endpoint that is not named serves `llm`. */
  readonly models?: Readonly<Record<string, readonly string[]>>
  /** By endpoint; one that is not named speaks KServe. */
  readonly protocols?: Readonly<Record<string, Protocol>>
  /** By model; a model that is not named is asked about, and `tell` answers. */
  readonly kinds?: Readonly<Record<string, AnswerKind>>
}

/** A proxy with some endpoints, each a server in memory that does what the test tells its streams. */
export function stage(names: readonly string[], options: StageOptions = {}) {
  let now = 1_000
  const draws = [...(options.draws ?? [])]
  const front = new Side('server')
  const client = new Side('client')
  const backs = new Map(names.map((name) => [name, { near: new Side('client'), far: new Side('server') }]))
  const endpoint = (id: string): Endpoint => ({
    ...{ id, node: id, zone: '', address: '127.0.0.1:1', protocol: options.protocols?.[id] ?? 'KSERVE_GRPC' },
    models: options.models?.[id] ?? ['llm'],
    ...{ weight: 100, state: 'READY', freshness: 'fresh', capacity: options.capacity ?? 0 },
  })
  const snapshot = {
    ...EMPTY_SNAPSHOT,
    models: options.rows ?? [
      {
        name: 'llm',
        policy: 'ROUND_ROBIN' as const,
        timeouts: options.timeouts,
        admission: options.admission,
        retry: options.retry,
        hedge: options.hedge,
      },
    ],
    routes: [{ prefix: '/any.Service/', model: 'llm' }],
    endpoints: names.map(endpoint),
  }
  const routing = new RoutingTable(snapshot, (one) => new EndpointSlot(one))
  const ledger = new Ledger()
  const wheel = new TimerWheel(millis(now))
  const tally = newRequestTally()
  const complaints: string[] = []
  const outlierNews: string[] = []
  const outliers = new OutlierWatch({
    resort: (slot) => routing.resort(slot),
    tell: ({ slot, change, why }) => outlierNews.push(`${slot.id} ${change} ${why}`),
  })
  const listeners: ((kind: AnswerKind) => void)[] = []
  const service = new RequestService(
    {
      now: (): Millis => millis(now),
      draw: () => draws.shift() ?? 0.5,
      routing: () => routing,
      open: (slot): Connection | undefined => {
        const connection = backs.get(slot.id)?.near.connection
        return connection?.canOpen ? connection : undefined
      },
      openInflater,
      answerKind: (model, _version, _slot, tell) => {
        listeners.push(tell)
        return options.kinds?.[model] ?? 'asking'
      },
      answer: () => {},
      serveOwn: () => undefined,
      complain: (about) => complaints.push(about.detail),
      tally,
      outliers,
    },
    ledger,
    wheel,
    new RetryBudget(),
    { nameEndpoints: options.nameEndpoints ?? false, workers: 1 },
  )
  front.onRequest = (stream: Stream, fields: HeaderField[]) => service.accept(stream, fields)
  const move = (): void => {
    for (let round = 0; round < 6; round++) {
      settle(client, front)
      for (const { near, far } of backs.values()) settle(near, far)
    }
  }
  move()
  return {
    front,
    client,
    backs,
    ledger,
    tally,
    service,
    routing,
    complaints,
    outlierNews,
    move,
    /** How the models that were asked about answer. */
    tell(kind: AnswerKind): void {
      for (const tell of listeners.splice(0)) tell(kind)
      move()
    },
    slot: (name: string): EndpointSlot => routing.slot(name) as EndpointSlot,
    far: (name: string): Side => (backs.get(name) as { far: Side }).far,
    served: (): string[] => [...backs].flatMap(([name, { far }]) => far.requests.map(() => name)),
    /** The stream that an endpoint was asked on last. */
    asked: (name: string): Stream => (backs.get(name) as { far: Side }).far.requests.at(-1) as Stream,
    send(path: string, body?: Uint8Array, end = true, ...more: HeaderField[]): Stream {
      const stream = client.connection.open(head(path, ...more), body === undefined && end)
      stream.sink = client.sink
      if (body !== undefined) stream.sendData(body, 0, body.length, end)
      move()
      return stream
    },
    /** So late that nothing burns any more. */
    later: (): Millis => millis(1e9),
    /** Time passes, and no timer has noticed yet. */
    tick(ms: number): void {
      now += ms
    },
    pass(ms: number): void {
      now += ms
      wheel.advance(millis(now))
      outliers.tick(millis(now))
      move()
    },
    /** Throws unless nothing is open, charged, kept or waiting. */
    expectClean(): void {
      const left: Record<string, number> = {
        'open attempts': ledger.open,
        'open requests': tally.open,
        'kept bytes': limits.retryCopiesMax - service.retryCopies.left,
        'requests waiting': [...service.desk.waiting.values()].reduce((sum, count) => sum + count, 0),
        'bytes of requests waiting': service.desk.waitingBytes,
        'held answers': service.answersHeld.bytes,
        timers: wheel.size,
      }
      for (const [name, side] of [['client', front] as const, ...[...backs].map(([id, { near }]) => [id, near] as const)]) {
        left[`streams of ${name}`] = side.connection.streams.size
        left[`bytes waiting for ${name}`] = side.shared.tally.queuedBytes
      }
      const found = Object.entries(left).filter(([, count]) => count !== 0)
      if (found.length > 0) throw new Error(`left over: ${JSON.stringify(Object.fromEntries(found))}`)
    },
  }
}

export function answer(stream: Stream, body: Uint8Array, end: readonly HeaderField[] = OK_END): void {
  stream.sendHead(OK_HEAD, false)
  stream.sendData(body, 0, body.length, false)
  stream.sendTrailers(end)
}
