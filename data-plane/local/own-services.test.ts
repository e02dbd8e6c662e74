/** Calls to the proxy's own services, on the engine in memory: bounded, timed and counted, whatever a client sends and however it reads. */
import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { EMPTY_SNAPSHOT, type Endpoint, type EndpointState } from '../../core/mesh-snapshot.ts'
import { millis } from '../../core/units.ts'
import { HealthCheckRequest, HealthCheckResponse, HealthListResponse } from '../../proto/gen/grpc/health/v1/health.ts'
import { ServerReflectionRequest, ServerReflectionResponse } from '../../proto/gen/grpc/reflection/v1/reflection.ts'
import { newRequestTally } from '../admission/request-tally.ts'
import { TimerWheel } from '../admission/timer-wheel.ts'
import type { OwnMethod } from '../grpc/methods.ts'
import { headerField } from '../http2/header-field.ts'
import { ERROR } from '../http2/protocol.ts'
import type { Stream } from '../http2/stream.ts'
import { RoutingTable } from '../routing/routing-table.ts'
import { Side, settle } from '../testing/side.ts'
import { HealthDesk } from './health.ts'
import { OwnServices } from './own-services.ts'
import { type DescribedFile, DescriptorIndex, reflectionHandler } from './reflection.ts'

const file = (name: string, imports: string[], services: string[], bytes = 10): DescribedFile => ({
  ...{ name, imports, services, symbols: [...services, `${name}.Message`], messages: [`${name}.Message`] },
  bytes: new Uint8Array(bytes),
})
const FILES = [file('a', ['b'], ['pkg.A'], 60_000), file('b', [], []), file('secret', [], ['pkg.Secret'])]

const endpoint = (id: string, models: readonly string[], state: EndpointState = 'READY'): Endpoint => ({
  ...{ id, node: id, zone: '', address: '127.0.0.1:1', protocol: 'KSERVE_GRPC', models },
  ...{ weight: 100, state, freshness: 'fresh', capacity: 0 },
})

const CALLS_MAX = 50

/** What a client hears on one stream: whole messages, and its end. */
class Heard {
  readonly messages: Uint8Array[] = []
  status: string | undefined
  #bytes = Buffer.alloc(0)
  constructor(stream: Stream, credit: boolean) {
    stream.sink = {
      onHead: (_stream, fields, endStream) => endStream && this.#end(fields),
      onData: (of, source, start, end) => {
        this.#bytes = Buffer.concat([this.#bytes, source.subarray(start, end)])
        if (credit) of.returnCredit(end - start, false)
        while (this.#bytes.length >= 5 && this.#bytes.length >= 5 + this.#bytes.readUInt32BE(1)) {
          const size = 5 + this.#bytes.readUInt32BE(1)
          this.messages.push(this.#bytes.subarray(5, size))
          this.#bytes = this.#bytes.subarray(size)
        }
      },
      onTrailers: (_stream, fields) => this.#end(fields),
      onReset: () => {},
      onLost: () => {},
      onSent: () => {},
    }
  }
  #end(fields: readonly { readonly name: string; readonly value: Uint8Array }[]): void {
    this.status = Buffer.from(fields.find((one) => one.name === 'grpc-status')?.value ?? []).toString()
  }
}

function stage() {
  let now = 1_000
  const front = new Side('server')
  const client = new Side('client')
  const wheel = new TimerWheel(millis(now))
  const tally = newRequestTally()
  const routing = new RoutingTable({ ...EMPTY_SNAPSHOT, routes: [{ prefix: '/routed.Service/', model: 'm' }] })
  const desk = new HealthDesk(() => routing)
  const own = new OwnServices({
    ...{ now: () => millis(now), wheel, tally, callsMax: CALLS_MAX },
    handlers: {
      'health-check': desk.check,
      'health-watch': desk.watch,
      'health-list': desk.list,
      reflection: reflectionHandler(() => new DescriptorIndex(FILES, ['pkg.A'])),
    },
  })
  let method: OwnMethod = 'health-check'
  let timeout: number | undefined
  front.onRequest = (stream) => own.accept(stream, method, timeout === undefined ? undefined : millis(timeout))
  const move = (): void => {
    for (let round = 0; round < 8; round++) settle(client, front)
  }
  move()
  return {
    ...{ front, tally, routing, desk, own, move },
    open(of: OwnMethod, body: Uint8Array | undefined, options: { end?: boolean; timeout?: number; credit?: boolean } = {}) {
      method = of
      timeout = options.timeout
      const stream = client.connection.open([headerField(':method', 'POST')], body === undefined && options.end !== false)
      const heard = new Heard(stream, options.credit !== false)
      if (body !== undefined) stream.sendData(body, 0, body.length, options.end !== false)
      move()
      return { stream, heard }
    },
    pass(ms: number): void {
      now += ms
      wheel.advance(millis(now))
      move()
    },
    expectClean(): void {
      expect([own.open, tally.open, wheel.size, front.connection.streams.size, front.shared.tally.queuedBytes]).toEqual([0, 0, 0, 0, 0])
    },
  }
}

function framed(message: Uint8Array, flag = 0): Buffer {
  const prefix = Buffer.of(flag, 0, 0, 0, 0)
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}
const named = (service: string): Buffer => framed(HealthCheckRequest.encode({ service }).finish())
const states = (heard: Heard): string[] =>
  heard.messages.map(
    (message) => ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'][HealthCheckResponse.decode(message).status] ?? '?',
  )
const asking = (messageRequest: ServerReflectionRequest['messageRequest']): Buffer =>
  framed(ServerReflectionRequest.encode({ host: '', messageRequest }).finish())
const answers = (heard: Heard) => heard.messages.map((message) => ServerReflectionResponse.decode(message).messageResponse)

test('a Check tells the state of the whole, of a service, of a route and of a model; a name that nobody has is NOT_FOUND', () => {
  const play = stage()
  const check = (name: string): string => {
    const { heard } = play.open('health-check', named(name))
    return `${states(heard).join()} ${heard.status}`
  }
  expect(check('')).toBe('NOT_SERVING 0')
  expect(check('routed.Service')).toBe('NOT_SERVING 0')
  expect(check('m')).toBe(' 5')
  play.routing.upsert(endpoint('one', ['m']))
  play.routing.upsert(endpoint('two', ['ill'], 'FAILED'))
  expect(['', 'm', 'ill', 'routed.Service', 'inference.GRPCInferenceService', 'nobody'].map(check)).toEqual([
    ...['SERVING 0', 'SERVING 0', 'NOT_SERVING 0', 'SERVING 0', 'SERVING 0'],
    ' 5',
  ])
  const list = play.open('health-list', framed(new Uint8Array()))
  const { statuses } = HealthListResponse.decode(list.heard.messages[0] as Uint8Array)
  expect([statuses.m?.status, statuses.ill?.status, statuses['']?.status]).toEqual([1, 2, 1])
  // What any server would take is not known by name, and serves all the same.
  play.routing.remove('one')
  play.routing.upsert(endpoint('three', ['*']))
  expect([check(''), check('whatever')]).toEqual(['SERVING 0', ' 5'])
  play.expectClean()
})

test('a Watch hears the state and each change once, also of a name that comes to be known; a drain is its last word', () => {
  const play = stage()
  const { heard } = play.open('health-watch', named('m'))
  const change = (act: () => void): void => {
    act()
    play.desk.look()
    play.desk.look()
    play.move()
  }
  change(() => play.routing.upsert(endpoint('one', ['m'])))
  change(() => play.routing.upsert(endpoint('one', ['m'], 'FAILED')))
  change(() => play.routing.upsert(endpoint('one', ['m'])))
  expect(states(heard)).toEqual(['SERVICE_UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVING'])
  expect(heard.status).toBeUndefined()
  play.desk.drain()
  play.move()
  expect([states(heard).at(-1), heard.status]).toEqual(['NOT_SERVING', '14'])
  const late = play.open('health-watch', named(''))
  expect([states(late.heard), late.heard.status]).toEqual([['NOT_SERVING'], '14'])
  play.expectClean()
})

test('a watcher that does not read holds one answer, and hears the newest state once it reads', () => {
  const play = stage()
  const { stream, heard } = play.open('health-watch', named('m'), { credit: false })
  for (const [, one] of play.front.connection.streams) one.sendWindow = 0
  for (let round = 0; round < 1_001; round++) {
    play.routing.upsert(endpoint('one', ['m'], round % 2 === 0 ? 'READY' : 'FAILED'))
    play.desk.look()
  }
  expect(play.front.shared.tally.queuedBytes).toBeLessThan(20)
  stream.reset(ERROR.CANCEL)
  play.move()
  expect(states(heard)).toEqual(['SERVICE_UNKNOWN'])
  expect(play.tally.byStatus[1]).toBe(1)
  play.expectClean()
})

test('deadlines end calls; a client that owes a message is not waited for without end; one that watches is', () => {
  const play = stage()
  const watch = play.open('health-watch', named(''), { timeout: 500 })
  const patient = play.open('health-watch', named(''))
  const silent = play.open('reflection', undefined, { end: false })
  play.pass(550)
  expect([watch.heard.status, patient.heard.status, silent.heard.status]).toEqual(['4', undefined, undefined])
  play.pass(limits.firstMessageTimeout)
  expect([patient.heard.status, silent.heard.status]).toEqual([undefined, '4'])
  expect([play.tally.firstMessageTimeouts, play.tally.refusals.deadline]).toEqual([1, 1])
  patient.stream.reset(ERROR.CANCEL)
  play.move()
  play.expectClean()
})

test('there are no more open calls than the limit; the next is refused and counted, and fits again when one has ended', () => {
  const play = stage()
  const streams = Array.from({ length: CALLS_MAX }, () => play.open('health-watch', named('')).stream)
  const refused = play.open('health-watch', named(''))
  expect([refused.heard.status, play.tally.refusals['own-calls-full'], play.own.open]).toEqual(['8', 1, CALLS_MAX])
  streams[0]?.reset(ERROR.CANCEL)
  play.move()
  expect(states(play.open('health-check', named('')).heard)).toEqual(['NOT_SERVING'])
  for (const stream of streams) stream.reset(ERROR.CANCEL)
  play.move()
  play.expectClean()
})

test.each([
  { what: 'no message', body: undefined, status: '3' },
  { what: 'half a message', body: named('m').subarray(0, 4), status: '3' },
  { what: 'two messages', body: Buffer.concat([named(''), named('')]), status: '3' },
  { what: 'a compressed message', body: framed(Buffer.from('x'), 1), status: '12' },
  { what: 'a flag of 7', body: framed(Buffer.from('x'), 7), status: '3' },
  { what: 'a message beyond the bound', body: framed(Buffer.alloc(limits.scanBudget)), status: '8' },
  { what: 'illegal protobuf', body: framed(Buffer.of(0x0a, 0xff)), status: '3' },
])('$what is refused with the status that says why', ({ body, status }) => {
  const play = stage()
  expect(play.open('health-check', body).heard.status).toBe(status)
  play.expectClean()
})

test('reflection answers each request in turn, with imports, and knows nothing of other services', () => {
  const play = stage()
  const { stream, heard } = play.open('reflection', asking({ $case: 'listServices', value: '' }), { end: false })
  const ask = (request: Buffer, end = false): ReturnType<typeof answers>[number] => {
    for (let at = 0; at < request.length; at++) stream.sendData(request, at, at + 1, end && at === request.length - 1)
    play.move()
    return answers(heard).at(-1)
  }
  expect(answers(heard)).toEqual([{ $case: 'listServicesResponse', value: { service: [{ name: 'pkg.A' }] } }])
  const found = ask(asking({ $case: 'fileContainingSymbol', value: 'pkg.A' }))
  expect(found?.$case === 'fileDescriptorResponse' && found.value.fileDescriptorProto.map((one) => one.length)).toEqual([60_000, 10])
  expect(ask(asking({ $case: 'fileByFilename', value: 'b' }))?.$case).toBe('fileDescriptorResponse')
  const unknown = { $case: 'errorResponse', value: { errorCode: 5 } }
  expect(ask(asking({ $case: 'fileByFilename', value: 'secret' }))).toMatchObject(unknown)
  expect(ask(asking({ $case: 'fileContainingSymbol', value: 'pkg.Secret' }))).toMatchObject(unknown)
  expect(ask(asking({ $case: 'allExtensionNumbersOfType', value: 'b.Message' }))?.$case).toBe('allExtensionNumbersResponse')
  expect(ask(asking({ $case: 'allExtensionNumbersOfType', value: 'c' }))).toMatchObject(unknown)
  const extension = { containingType: 'b.Message', extensionNumber: 1 }
  expect(ask(asking({ $case: 'fileContainingExtension', value: extension }))).toMatchObject(unknown)
  expect(ask(asking(undefined), true)).toMatchObject({ $case: 'errorResponse', value: { errorCode: 3 } })
  expect(heard.status).toBe('0')
  play.expectClean()
})

test('a client that asks and does not read costs its window and one answer', () => {
  const play = stage()
  const { stream, heard } = play.open('reflection', asking({ $case: 'fileByFilename', value: 'a' }), { end: false, credit: false })
  const request = asking({ $case: 'fileByFilename', value: 'a' })
  for (let count = 0; count < 2_000; count++) stream.sendData(request, 0, request.length, false)
  play.move()
  expect(heard.messages.length).toBeLessThan(3)
  expect(play.front.shared.tally.queuedBytes).toBeLessThan(61_000)
  stream.reset(ERROR.CANCEL)
  play.move()
  play.expectClean()
})

test('a service that no file describes is a mistake of ours', () => {
  expect(() => new DescriptorIndex(FILES, ['pkg.B'])).toThrow('no descriptor has the service pkg.B')
})
