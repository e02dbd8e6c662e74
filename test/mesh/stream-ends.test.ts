/** Streams whose two sides end in their own time: a client that speaks on when the answer is whole, a server that ends first, either that waits for the other. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { connectGrpc, type GrpcSession, type StreamEnd } from '../tools/grpc-session.ts'
import { PAIR_SERVICE, startProxy, type TestProxy } from '../tools/proxy.ts'
import { ERROR, type Fields, FLAG, FRAME, framed, type RawPeer, type RawServer, serveRaw } from '../tools/raw-h2.ts'
import { expectSettled } from '../tools/settled.ts'
import { MODEL_STREAM_INFER, startSim, type TestSim, tokenIndexOf, tokenRequest } from '../tools/sim-server.ts'
import { ECHO, payloadOf, startTestService, type TestService } from '../tools/test-service.ts'

let sim: TestSim
let service: TestService
let raw: RawServer
let proxy: TestProxy
let session: GrpcSession
/** What the raw backend does with each request head and each piece of a request. */
let onRaw: (peer: RawPeer, id: number, ends: boolean, type: number) => void

beforeAll(async () => {
  sim = await startSim('--token-ms', '20')
  service = await startTestService()
  raw = await serveRaw((peer) => {
    peer.onFrame = ({ type, id, flags, payload }) => {
      if (type === FRAME.DATA && payload.length > 0) peer.windowUpdate(0, payload.length)
      if (type === FRAME.HEADERS || type === FRAME.DATA) onRaw(peer, id, (flags & FLAG.END_STREAM) !== 0, type)
    }
  })
  proxy = await startProxy([
    { id: 'gpu-a/service', address: service.address, models: ['alone'] },
    { id: 'gpu-b/sim', address: sim.listen, models: ['sim_llm'] },
    { id: 'gpu-c/raw', address: raw.address, models: ['pair'] },
  ])
})
beforeEach(async () => {
  session = await connectGrpc(proxy.listen)
})
afterEach(async () => {
  try {
    // The connection is still there: it is the streams' own ends that settle them.
    await expectSettled(proxy)
  } finally {
    session.destroy()
  }
})
afterAll(async () => {
  await proxy?.stop()
  service?.stop()
  await raw?.stop()
  await sim?.stop()
})

const RAW = `${PAIR_SERVICE}FullDuplexCall`
const HEAD: Fields = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
]
const OK: StreamEnd = { status: 0, details: '', resetCode: 0, torn: false }
test('an answer that is whole before the request has ended reaches the client, and the request is called off without blame', async () => {
  const answered: { peer: RawPeer; id: number }[] = []
  onRaw = (peer, id, _ends, type) => {
    if (type !== FRAME.HEADERS) return
    peer.headers(id, HEAD)
    peer.data(id, framed(Buffer.from('enough')))
    peer.headers(id, [['grpc-status', '0']], true)
    answered.push({ peer, id })
  }
  for (const upload of [0, 1_000_000]) {
    const messages: string[] = []
    const stream = session.open(RAW, { onMessage: (message) => void messages.push(message.toString()) })
    if (upload > 0) stream.send(payloadOf(0, upload))
    expect(await stream.ended).toEqual(OK)
    expect(messages).toEqual(['enough'])
    const last = answered.at(-1)
    const reset = await last?.peer.wait('RST_STREAM', ({ type, id }) => type === FRAME.RST_STREAM && id === last.id)
    expect(reset?.payload.readUInt32BE()).toBe(ERROR.NO_ERROR)
  }
})

test('an early answer that is nothing but trailers keeps its status and text', async () => {
  onRaw = (peer, id, _ends, type) => {
    if (type === FRAME.HEADERS) peer.headers(id, [...HEAD, ['grpc-status', '5'], ['grpc-message', 'no such thing']], true)
  }
  expect(await session.open(RAW).ended).toEqual({ ...OK, status: 5, details: 'no such thing' })
})

test('a server that does not heed the deadline is told to stop when it passes', async () => {
  const asked: { peer: RawPeer; id: number }[] = []
  onRaw = (peer, id, _ends, type) => {
    if (type !== FRAME.HEADERS) return
    peer.headers(id, HEAD)
    asked.push({ peer, id })
  }
  const end = await session.open(RAW, { headers: { 'grpc-timeout': '2000m' } }).ended
  expect(end).toMatchObject({ status: 4, torn: false })
  const [only] = asked
  const reset = await only?.peer.wait('RST_STREAM', ({ type, id }) => type === FRAME.RST_STREAM && id === only.id)
  expect(reset?.payload.readUInt32BE()).toBe(ERROR.CANCEL)
})

test('a client that waits for the response head before its first message gets it', async () => {
  onRaw = (peer, id, ends, type) => {
    if (type === FRAME.HEADERS) peer.headers(id, [...HEAD, ['x-note', 'go on']])
    else if (ends) peer.headers(id, [['grpc-status', '0']], true)
    else peer.data(id, framed(Buffer.from('heard')))
  }
  const messages: string[] = []
  const stream = session.open(RAW, {
    onMessage(message) {
      messages.push(message.toString())
      stream.halfClose()
    },
  })
  expect(await stream.head).toMatchObject({ ':status': 200, 'x-note': 'go on', 'x-millrace-endpoint': 'gpu-c/raw' })
  stream.send(Buffer.from('at last'))
  expect(await stream.ended).toEqual(OK)
  expect(messages).toEqual(['heard'])
})

test('a client may say its next word only after each answer', async () => {
  const words = Array.from({ length: 20 }, (_, number) => `word ${number}`)
  const heard: string[] = []
  const stream = session.open(ECHO, {
    onMessage(message) {
      heard.push(message.toString())
      const next = words[heard.length]
      if (next === undefined) stream.halfClose()
      else stream.send(Buffer.from(next))
    },
  })
  stream.send(Buffer.from(words[0] ?? ''))
  expect(await stream.ended).toEqual({ ...OK, details: 'OK' })
  expect(heard).toEqual(words)
})

test('requests of one inference stream, each sent when the one before is answered, all get their tokens', async () => {
  const heard: number[] = []
  let requests = 1
  const stream = session.open(MODEL_STREAM_INFER, {
    onMessage(message) {
      heard.push(tokenIndexOf(message))
      if (tokenIndexOf(message) < 2) return
      if (requests++ < 4) stream.send(tokenRequest({ tokens: 3 }))
      else stream.halfClose()
    },
  })
  stream.send(tokenRequest({ tokens: 3 }))
  expect(await stream.ended).toEqual(OK)
  expect(heard).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2])
})

test('an inference stream that its server ends first ends for the client too', async () => {
  const stream = session.open(MODEL_STREAM_INFER, { headers: { triton_grpc_error: 'true' } })
  stream.send(tokenRequest({ tokens: 0 }))
  expect(await stream.ended).toMatchObject({ status: 3, resetCode: 0, details: expect.stringContaining('max_tokens') })
})

test('an inference stream without a message ends well', async () => {
  const stream = session.open(MODEL_STREAM_INFER)
  stream.halfClose()
  expect(await stream.ended).toEqual(OK)
})
