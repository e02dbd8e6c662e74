/** What people and programs send by mistake or by malice: a clear answer with the right status, and the next good request is served as if nothing had been. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { status as GRPC } from '@grpc/grpc-js'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startVerb } from '../../cli/child.ts'
import { limits } from '../../core/limits.ts'
import { ModelInferRequest } from '../../proto/gen/inference/grpc_service.ts'
import { PAIR_SERVICE, startProxy, staticSnapshot, TEST_SERVICE, type TestProxy } from '../tools/proxy.ts'
import {
  connectRaw,
  ERROR,
  endsStream,
  type Fields,
  FRAME,
  type Frame,
  framed,
  grpcRequest,
  type RawServer,
  serveRaw,
} from '../tools/raw-h2.ts'
import { callOnce } from '../tools/test-service.ts'

const INFER = '/inference.GRPCInferenceService/ModelInfer'
const STREAM = '/inference.GRPCInferenceService/ModelStreamInfer'

const ask = (modelName: string, tensorBytes = 0): Buffer =>
  Buffer.from(
    ModelInferRequest.encode(ModelInferRequest.fromPartial({ modelName, rawInputContents: [Buffer.alloc(tensorBytes)] })).finish(),
  )
/** In protobuf a message followed by another one is one message, in which the later fields win. */
const renamedBehindTensors = (first: string, second: string, tensorBytes: number): Buffer =>
  Buffer.concat([ask(first, tensorBytes), ask(second)])

let backend: RawServer
let proxy: TestProxy
/** Bytes and whole requests that reached the backend, by stream. */
let reached: { bytes: number; whole: boolean }[] = []

beforeAll(async () => {
  backend = await serveRaw((peer) => {
    const streams = new Map<number, { bytes: number; whole: boolean }>()
    peer.windowUpdate(0, 100_000_000)
    peer.settings({ 4: 100_000_000 })
    peer.onFrame = (frame) => {
      if (frame.type === FRAME.HEADERS) {
        const one = { bytes: 0, whole: false }
        streams.set(frame.id, one)
        reached.push(one)
      }
      const one = streams.get(frame.id)
      if (one === undefined) return
      if (frame.type === FRAME.DATA) one.bytes += frame.payload.length
      if (!endsStream(frame)) return
      one.whole = true
      peer.headers(frame.id, [
        [':status', '200'],
        ['content-type', 'application/grpc'],
      ])
      peer.data(frame.id, framed(Buffer.from('served')))
      peer.headers(frame.id, [['grpc-status', '0']], true)
    }
  })
  proxy = await startProxy([
    { id: 'gpu-a/known', address: backend.address, models: ['known', 'other', 'alone'] },
    { id: 'gpu-a/drained', address: backend.address, models: ['drained'], state: 'DRAINING' },
  ])
})
afterEach(async () => {
  const good = await callOnce(proxy.listen, INFER, ask('known'))
  expect({ code: good.code, answer: good.messages.map(String) }, 'a good request afterwards').toEqual({ code: 0, answer: ['served'] })
  await expect.poll(() => proxy.metric('millrace_requests_open')).toBe(0)
  reached = []
})
afterAll(async () => {
  await proxy?.stop()
  await backend?.stop()
})

/** One request by a bare client; answers the status it got, wherever it stood. */
async function rawCall(path: string, pieces: readonly Uint8Array[], more: Fields = []): Promise<Frame['fields']> {
  const peer = await connectRaw(proxy.listen)
  try {
    peer.headers(1, grpcRequest(path, more))
    for (const [index, piece] of pieces.entries())
      for (let at = 0; at < piece.length || at === 0; at += limits.frameSizeMax) {
        const slice = piece.subarray(at, at + limits.frameSizeMax)
        peer.data(1, slice, index === pieces.length - 1 && at + slice.length === piece.length)
      }
    const end = await peer.wait('end of the stream', (frame) => frame.id === 1 && (endsStream(frame) || frame.type === FRAME.RST_STREAM))
    if (end.type === FRAME.RST_STREAM) throw new Error(`reset with code ${end.payload.readUInt32BE(0)}`)
    return end.fields
  } finally {
    peer.close()
  }
}

const many = (count: number, length: number): Fields => Array.from({ length: count }, (_, index) => [`x-${index}`, 'y'.repeat(length)])

type Refused = {
  readonly what: string
  readonly path?: string
  readonly pieces: readonly Uint8Array[]
  readonly more?: Fields
  readonly status: number
  readonly says: RegExp
}

const REFUSED: readonly Refused[] = [
  { what: 'a model that nobody serves', pieces: [framed(ask('nobody'))], status: GRPC.NOT_FOUND, says: /nobody/ },
  { what: 'a model whose endpoints are all draining', pieces: [framed(ask('drained'))], status: GRPC.UNAVAILABLE, says: /drained.*READY/ },
  { what: 'a request without a model', pieces: [framed(ask(''))], status: GRPC.INVALID_ARGUMENT, says: /model_name/ },
  { what: 'a request without a message', pieces: [Buffer.alloc(0)], status: GRPC.INVALID_ARGUMENT, says: /no message/ },
  {
    what: 'illegal protobuf',
    pieces: [framed(Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]))],
    status: GRPC.INVALID_ARGUMENT,
    says: /./,
  },
  {
    what: 'a field longer than its message',
    pieces: [framed(Buffer.from([0x0a, 0x7f, 0x61]))],
    status: GRPC.INVALID_ARGUMENT,
    says: /longer/,
  },
  { what: 'half a message', pieces: [framed(ask('known')).subarray(0, 8)], status: GRPC.INVALID_ARGUMENT, says: /middle of a message/ },
  { what: 'a compression flag of 2', pieces: [Buffer.from([2, 0, 0, 0, 0])], status: GRPC.INVALID_ARGUMENT, says: /0 or 1/ },
  { what: 'a compressed message that says not how', pieces: [compressed('known')], status: GRPC.INVALID_ARGUMENT, says: /grpc-encoding/ },
  {
    what: 'an encoding that nobody knows',
    pieces: [compressed('known')],
    more: [['grpc-encoding', 'snappy']],
    status: GRPC.UNIMPLEMENTED,
    says: /snappy.*gzip/,
  },
  {
    what: 'bytes that are not the gzip they claim to be',
    pieces: [Buffer.concat([Buffer.of(1, 0, 0, 0, 6), Buffer.from('banana')])],
    more: [['grpc-encoding', 'gzip']],
    status: GRPC.INVALID_ARGUMENT,
    says: /gzip/,
  },
  {
    what: 'a timeout that is none',
    pieces: [framed(ask('known'))],
    more: [['grpc-timeout', 'soon']],
    status: GRPC.INTERNAL,
    says: /grpc-timeout/,
  },
  {
    what: 'a method that nobody has',
    path: '/no.such.Service/Call',
    pieces: [framed(ask('known'))],
    status: GRPC.UNIMPLEMENTED,
    says: /no\.such\.Service.*routes/,
  },
  {
    what: 'a route to a model without endpoints',
    path: `${PAIR_SERVICE}UnaryCall`,
    pieces: [framed(ask('known'))],
    status: GRPC.NOT_FOUND,
    says: /pair/,
  },
  {
    what: 'a method that would change one server',
    path: '/inference.GRPCInferenceService/RepositoryModelUnload',
    pieces: [framed(ask('known'))],
    status: GRPC.PERMISSION_DENIED,
    says: /on the server itself/,
  },
  {
    what: 'a model name behind more bytes than are looked through',
    pieces: [framed(Buffer.concat([ask('', 2 * limits.scanBudget), ask('known')]))],
    status: GRPC.RESOURCE_EXHAUSTED,
    says: /model_name.*before the tensors/,
  },
]

function compressed(model: string): Buffer {
  const message = framed(gzipSync(ask(model)))
  message[0] = 1
  return message
}

describe('requests that are refused', () => {
  test.each(REFUSED)('$what', async ({ path = INFER, pieces, more = [], status, says }) => {
    const fields = await rawCall(path, pieces, more)
    expect(fields[':status'], 'a Trailers-Only answer').toBe('200')
    expect({ status: GRPC[Number(fields['grpc-status'])], message: decodeURIComponent(fields['grpc-message'] ?? '') }).toEqual({
      status: GRPC[status],
      message: expect.stringMatching(says),
    })
    expect(reached.filter((one) => one.whole)).toEqual([])
  })

  test('a content type that is not gRPC is answered 415 with a sentence', async () => {
    const peer = await connectRaw(proxy.listen)
    const fields = grpcRequest(INFER).map(([name, value]) => [name, name === 'content-type' ? 'application/json' : value] as const)
    peer.headers(1, fields)
    peer.data(1, Buffer.from('{}'), true)
    await peer.wait('end of the stream', endsStream)
    const head = await peer.wait('head', (frame) => frame.type === FRAME.HEADERS)
    peer.close()
    expect(head.fields[':status']).toBe('415')
    expect(decodeURIComponent(head.fields['grpc-message'] ?? '')).toMatch(/gRPC/)
    expect(peer.body(1).toString()).toMatch(/gRPC.*\n$/)
  })

  test.each([
    { what: 'larger than the limit', more: many(40, 1_000) },
    { what: 'more than the limit', more: many(limits.headerFieldsMax, 10) },
  ])('headers that are $what are refused on their stream and the connection goes on', async ({ more }) => {
    const peer = await connectRaw(proxy.listen)
    peer.headers(1, grpcRequest(INFER, more), true)
    const end = await peer.wait('end of the stream', (frame) => frame.id === 1 && endsStream(frame))
    expect(GRPC[Number(end.fields['grpc-status'])]).toBe('RESOURCE_EXHAUSTED')
    expect(decodeURIComponent(end.fields['grpc-message'] ?? '')).toMatch(/headers.*\d/)
    peer.headers(3, grpcRequest(INFER))
    peer.data(3, framed(ask('known')), true)
    const good = await peer.wait('good answer', (frame) => frame.id === 3 && endsStream(frame))
    expect(good.fields['grpc-status']).toBe('0')
    peer.close()
  })

  test('a header that no header may be resets its stream and the connection goes on', async () => {
    const peer = await connectRaw(proxy.listen)
    peer.headers(1, grpcRequest(INFER, [['x-bad', 'line\r\nx-smuggled: yes']]), true)
    const reset = await peer.wait('reset', (frame) => frame.id === 1 && frame.type === FRAME.RST_STREAM)
    expect(reset.payload.readUInt32BE(0)).toBe(ERROR.PROTOCOL_ERROR)
    peer.headers(3, grpcRequest(INFER))
    peer.data(3, framed(ask('known')), true)
    const good = await peer.wait('good answer', (frame) => frame.id === 3 && endsStream(frame))
    expect(good.fields['grpc-status']).toBe('0')
    peer.close()
    expect(reached).toHaveLength(1)
  })

  test('an HTTP/1.1 request on the port is told what the port speaks', async () => {
    const body = await new Promise<string>((resolve, reject) => {
      httpRequest(`http://${proxy.listen}/v2/health/ready`, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk
        })
        response.on('end', () => resolve(text))
      })
        .on('error', reject)
        .end()
    })
    expect(body).toMatch(/gRPC/)
  })
})

describe('requests that contradict what they were routed by', () => {
  test.each([0, 200, 100_000])('a second model_name behind %d tensor bytes never reaches a backend whole', async (tensorBytes) => {
    const message = framed(renamedBehindTensors('known', 'other', tensorBytes))
    const fields = await rawCall(INFER, [message.subarray(0, message.length - 4), message.subarray(message.length - 4)])
    expect(GRPC[Number(fields['grpc-status'])]).toBe('INVALID_ARGUMENT')
    expect(decodeURIComponent(fields['grpc-message'] ?? '')).toMatch(/model_name.*known.*other/)
    for (const one of reached) expect(one.bytes).toBeLessThan(message.length)
    expect(reached.filter((one) => one.whole)).toEqual([])
  })

  test('the same name said twice is no contradiction', async () => {
    const fields = await rawCall(INFER, [framed(renamedBehindTensors('known', 'known', 1000))])
    expect(fields['grpc-status']).toBe('0')
  })

  test('a later message that changes its mind fails alone, and never reaches a backend whole', async () => {
    const fields = await rawCall(STREAM, [
      framed(ask('known')),
      framed(renamedBehindTensors('known', 'other', 100_000)),
      framed(ask('other')),
    ])
    expect(fields['grpc-status']).toBe('0')
    for (const one of reached) expect(one.bytes).toBeLessThan(100_000)
  })

  test('later messages for the same model are served', async () => {
    const fields = await rawCall(STREAM, [framed(ask('known')), framed(ask('known', 50)), framed(ask('known'))])
    expect(fields['grpc-status']).toBe('0')
  })

  test('a routed service may send what it likes', async () => {
    const end = await callOnce(proxy.listen, `${TEST_SERVICE}UnaryCall`, Buffer.from([0xff, 0xff, 0xff]))
    expect(end.code).toBe(0)
  })
})

describe('settings that are wrong', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-bad-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  /** How a proxy with this file ends, and its last line. */
  async function startWith(text: string, listen = '127.0.0.1:0'): Promise<{ readonly code: number | null; readonly line: string }> {
    const file = join(folder, 'mesh.json')
    writeFileSync(file, text)
    const child = await startVerb('data-plane', 'data-plane', ['--static', file, '--listen', listen, '--metrics-listen', '127.0.0.1:0'])
    const impatience = setTimeout(() => child.kill(), 60_000)
    const code = await child.exited
    clearTimeout(impatience)
    return { code, line: child.stderr.at(-1) ?? '' }
  }

  const good = JSON.stringify(staticSnapshot([{ id: 'gpu-a/one', address: '127.0.0.1:1' }]), undefined, 2)
  const lineWith = (text: string, piece: string): number => text.split('\n').findIndex((line) => line.includes(piece)) + 1

  test.each([
    { what: 'a misspelt field', from: '"weight"', to: '"wieght"', says: /wieght.*weight/ },
    { what: 'a state that is none', from: '"READY"', to: '"REDAY"', says: /state.*READY/ },
    { what: 'a weight below 0', from: '"weight": 100', to: '"weight": -1', says: /weight/ },
    { what: 'an address without a port', from: '"127.0.0.1:1"', to: '"127.0.0.1"', says: /address.*host:port/ },
    { what: 'a policy that is none', from: '"ROUND_ROBIN"', to: '"ROUND_ROBINS"', says: /policy.*LEAST_WAIT/ },
  ])('$what in the static file ends the proxy with file, line and field', async ({ from, to, says }) => {
    const text = good.replace(from, to)
    const { code, line } = await startWith(text)
    expect(code).toBe(64)
    expect(line).toMatch(says)
    expect(line).toContain(`mesh.json:${lineWith(text, to)}:`)
  })

  test('a static file that is not JSON ends the proxy with the place', async () => {
    const { code, line } = await startWith(good.replace('"models": [', '"models": [['))
    expect(code).toBe(64)
    expect(line).toMatch(/mesh\.json.*line \d+|mesh\.json:\d+/)
  })

  test('a port in use ends the proxy with the address and the cure', async () => {
    const { code, line } = await startWith(good, proxy.listen)
    expect(code).toBe(64)
    expect(line).toContain(proxy.listen)
    expect(line).toMatch(/in use.*another port/)
  })
})
