/** Connections to endpoints and of clients, seen from outside: where they lead, how they end, and that no request pays for it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Session } from 'node:http2'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js'
import { afterEach, expect, test } from 'vitest'
import { freePorts } from '../tools/free-ports.ts'
import { ask, connectGrpc, type GrpcSession } from '../tools/grpc-session.ts'
import { Load } from '../tools/load.ts'
import { startNameServer } from '../tools/name-server.ts'
import { startProxy, staticSnapshot, type TestEndpoint, type TestProxy } from '../tools/proxy.ts'
import { connectRaw, ERROR, FLAG, FRAME, framed, grpcRequest, RawPeer, SETTING } from '../tools/raw-h2.ts'
import { MODEL_INFER, MODEL_STREAM_INFER, startSim, type TestSim, tokenRequest } from '../tools/sim-server.ts'
import { UNARY } from '../tools/test-service.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const one of cleanups.splice(0).reverse()) await one()
})

const poll = (holds: () => unknown) => expect.poll(holds, { timeout: 20_000, interval: 20 })
const proxyFor = async (endpoints: readonly TestEndpoint[], ...more: readonly string[]): Promise<TestProxy> => {
  const proxy = await startProxy(endpoints, ...more)
  cleanups.push(() => proxy.stop())
  return proxy
}
const session = async (proxy: TestProxy): Promise<GrpcSession> => {
  const opened = await connectGrpc(proxy.listen)
  cleanups.push(() => opened.destroy())
  return opened
}
const sim = async (...argv: string[]): Promise<TestSim> => {
  const started = await startSim('--listen', '127.0.0.1:0', '--http-listen', '127.0.0.1:0', ...argv)
  cleanups.push(() => started.stop())
  return started
}

/** A gRPC server on node:http2 that gives each message back; `where` it listens is the test's choice. */
async function echo(where: { host: string; port: number } | { path: string }) {
  const server: Http2Server = createHttp2Server()
  const sessions = new Set<ServerHttp2Session>()
  server.on('session', (one) => {
    sessions.add(one)
    one.once('close', () => sessions.delete(one))
  })
  server.on('stream', (stream) => {
    const held: Buffer[] = []
    stream.on('data', (chunk: Buffer) => held.push(chunk))
    stream.on('error', () => {})
    stream.on('end', () => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
      stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.end(Buffer.concat(held))
    })
  })
  await new Promise<void>((resolve) => server.listen(where, resolve))
  cleanups.push(() => {
    for (const one of sessions) one.destroy()
    server.close()
  })
  const address = server.address()
  return { server, port: address !== null && typeof address === 'object' ? address.port : 0 }
}

const BODY = Buffer.from('a message')

/** So many calls, so many at once; the ends that were not OK. */
async function callMany(over: GrpcSession, count: number, atOnce: number): Promise<unknown[]> {
  const bad: unknown[] = []
  let left = count
  const one = async (): Promise<void> => {
    while (left-- > 0) {
      const answer = await ask(over, UNARY, BODY)
      if (answer.status !== 0 || !answer.messages[0]?.equals(BODY)) bad.push([answer.status, answer.details, answer.resetCode])
    }
  }
  await Promise.all(Array.from({ length: atOnce }, one))
  return bad
}

test('an endpoint may be IPv4, IPv6, a name or a unix socket', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-connections-'))
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'backend.sock')
  await echo({ path })
  const six = await echo({ host: '::1', port: 0 })
  const four = await echo({ host: '127.0.0.1', port: 0 })
  for (const address of [`unix:${path}`, `[::1]:${six.port}`, `127.0.0.1:${four.port}`, `localhost:${four.port}`]) {
    const proxy = await proxyFor([{ id: 'a/echo', address }])
    expect(await callMany(await session(proxy), 20, 4), address).toEqual([])
    await poll(() => proxy.metric('millrace_endpoint_connections')).toBeGreaterThan(0)
  }
})

/** A server of raw frames that answers each request with its own bytes after a moment; `onHead` may say that a stream is not looked at. */
async function rawEcho(
  greet: (peer: RawPeer) => void,
  onHead: (peer: RawPeer, id: number, open: number) => 'take' | 'leave',
): Promise<string> {
  const peers = new Set<RawPeer>()
  const server = createServer((socket: Socket) => {
    const peer = new RawPeer(socket, 'server')
    peers.add(peer)
    greet(peer)
    const open = new Set<number>()
    peer.onFrame = ({ type, flags, id }) => {
      if (type === FRAME.HEADERS && onHead(peer, id, open.size + 1) === 'take') open.add(id)
      if (type !== FRAME.DATA || (flags & FLAG.END_STREAM) === 0 || !open.has(id)) return
      setTimeout(() => {
        open.delete(id)
        peer.headers(id, [
          [':status', '200'],
          ['content-type', 'application/grpc'],
        ])
        peer.data(id, peer.body(id))
        peer.headers(id, [['grpc-status', '0']], true)
      }, 20)
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => {
    for (const peer of peers) peer.close()
    server.close()
  })
  const address = server.address()
  return `127.0.0.1:${address !== null && typeof address === 'object' ? address.port : 0}`
}

test('SETTINGS that come late and allow few streams fail no request', async () => {
  let refused = 0
  const greet = (peer: RawPeer): void => {
    // They are held back until the first streams have come.
    peer.socket.cork()
    peer.settings({ [SETTING.MAX_CONCURRENT_STREAMS]: 8 })
  }
  const address = await rawEcho(greet, (peer, id, open) => {
    setImmediate(() => peer.socket.uncork())
    if (open <= 8) return 'take'
    refused++
    peer.reset(id, ERROR.REFUSED_STREAM)
    return 'leave'
  })
  const proxy = await proxyFor([{ id: 'a/late', address }])
  expect(await callMany(await session(proxy), 400, 60)).toEqual([])
  expect(refused, 'more came than it takes').toBeGreaterThan(0)
})

test('a server that sends its connections away in the middle of streams loses no request', async () => {
  const TAKEN = 20
  const taken = new Map<RawPeer, number>()
  let unseen = 0
  const address = await rawEcho(
    (peer) => peer.settings(),
    (peer, id) => {
      const before = taken.get(peer) ?? 0
      taken.set(peer, before + 1)
      // What comes behind the last stream that it names was on its way already, and is not looked at.
      if (before === TAKEN) setImmediate(() => peer.goaway(id - 2, ERROR.NO_ERROR))
      if (before < TAKEN) return 'take'
      unseen++
      return 'leave'
    },
  )
  const proxy = await proxyFor([{ id: 'a/away', address }])
  expect(await callMany(await session(proxy), 400, 16)).toEqual([])
  expect([taken.size > 10, unseen > 0]).toEqual([true, true])
})

test('a gRPC server that ends its connections by their age loses no request', async () => {
  const aging = new Server({ 'grpc.max_connection_age_ms': 300, 'grpc.max_connection_age_grace_ms': 2_000 })
  const asIs = (bytes: Buffer): Buffer => bytes
  aging.addService(
    {
      unary: {
        ...{ path: UNARY, requestStream: false, responseStream: false },
        ...{ requestSerialize: asIs, requestDeserialize: asIs, responseSerialize: asIs, responseDeserialize: asIs },
      },
    },
    { unary: (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => setTimeout(() => answer(null, call.request), 5) },
  )
  const port = await new Promise<number>((resolve, reject) =>
    aging.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => (error === null ? resolve(bound) : reject(error))),
  )
  cleanups.push(() => aging.forceShutdown())
  const proxy = await proxyFor([{ id: 'a/aging', address: `127.0.0.1:${port}` }])
  expect(await callMany(await session(proxy), 3_000, 16)).toEqual([])
})

test('a server that hangs is noticed by its silence, and its requests are served elsewhere', async () => {
  const [hangs, serves] = [await sim(), await sim()]
  const endpoints = [
    { id: 'hangs/sim', address: hangs.listen, models: ['sim_llm'] },
    { id: 'serves/sim', address: serves.listen, models: ['sim_llm'] },
  ]
  const proxy = await proxyFor(endpoints, '--upstream-keepalive', '1', '--upstream-keepalive-timeout', '1')
  const over = await session(proxy)
  await poll(() => proxy.metric('millrace_endpoint_connections')).toBe(2)
  process.kill(hangs.part.pid, 'SIGSTOP')
  cleanups.push(() => process.kill(hangs.part.pid, 'SIGCONT'))
  const begun = performance.now()
  const answers = await Promise.all(Array.from({ length: 12 }, () => ask(over, MODEL_INFER, tokenRequest({ tokens: 1 }))))
  console.info(`  measured: 12 requests beside a hanging server answered within ${Math.round(performance.now() - begun)} ms`)
  expect(answers.map(({ status }) => status)).toEqual(Array(12).fill(0))
  expect(answers.map(({ headers }) => headers['x-millrace-endpoint'])).toEqual(Array(12).fill('serves/sim'))
  await poll(() => proxy.metric('millrace_retries_total')).toBeGreaterThan(0)
  process.kill(hangs.part.pid, 'SIGCONT')
  await poll(() => proxy.metric('millrace_endpoint_ejected')).toBe(0)
})

test('a client that hangs with a stream open gives its place on the server back', async () => {
  const server = await sim('--token-ms', '600000', '--prefill-ms', '1')
  const proxy = await proxyFor([{ id: 'a/sim', address: server.listen }], '--client-keepalive', '1', '--client-keepalive-timeout', '1')
  const client = await connectRaw(proxy.listen)
  cleanups.push(() => client.close())
  client.headers(1, grpcRequest(MODEL_STREAM_INFER))
  client.data(1, framed(tokenRequest({ tokens: 100 })), true)
  await poll(() => proxy.metric('millrace_ledger_open_attempts')).toBe(1)
  await client.wait('a PING', (frame) => frame.type === FRAME.PING && (frame.flags & FLAG.ACK) === 0)
  expect(await proxy.metric('millrace_ledger_open_attempts'), 'it answered').toBe(1)
  client.socket.pause()
  await poll(() => proxy.metric('millrace_ledger_open_attempts')).toBe(0)
  await poll(() => proxy.metric('millrace_client_connections_silent_total')).toBe(1)
})

test('clients are asked to connect anew when they have been there for long; neither calls nor streams are lost by it', async () => {
  const server = await sim('--token-ms', '50', '--prefill-ms', '1')
  const proxy = await proxyFor([{ id: 'a/sim', address: server.listen }], '--client-max-age', '1', '--upstream-max-age', '1')
  const over = await session(proxy)
  let messages = 0
  const stream = over.open(MODEL_STREAM_INFER, { onMessage: () => void messages++ })
  stream.send(tokenRequest({ tokens: 100 }))
  stream.halfClose()
  const load = new Load({ to: proxy.listen, perSecond: 60, connections: 4, tokens: 1 })
  expect(await stream.ended).toMatchObject({ status: 0, torn: false })
  await load.stop()
  expect(messages).toBe(100)
  expect(load.failed()).toEqual([])
  await poll(() => proxy.metric('millrace_client_connections_aged_total')).toBeGreaterThan(4)
})

test('names are followed: what DNS adds takes requests, what it takes away finishes its streams, and its failure changes nothing', async () => {
  // At 127.0.0.1 nobody is to listen on it.
  const [port = 0] = await freePorts(1)
  for (const host of ['127.0.0.2', '127.0.0.3']) await echo({ host, port })
  const slow = await sim('--token-ms', '40', '--prefill-ms', '1')
  const names = await startNameServer(1, ['127.0.0.2'])
  cleanups.push(() => names.stop())
  const simPort = slow.listen.slice(slow.listen.lastIndexOf(':'))
  const proxy = await proxyFor(
    [
      { id: 'a/echo', address: `gpu.mesh.test:${port}`, models: ['alone'] },
      { id: 'b/sim', address: `gpu.mesh.test${simPort}`, models: ['sim_llm'] },
    ],
    ...['--dns-server', names.address],
  )
  const over = await session(proxy)
  expect(await callMany(over, 20, 4)).toEqual([])
  names.answers = ['127.0.0.1', '127.0.0.2', '127.0.0.3']
  await poll(() => ask(over, MODEL_INFER, tokenRequest({ tokens: 1 })).then(({ status }) => status)).toBe(0)
  let messages = 0
  const stream = over.open(MODEL_STREAM_INFER, { onMessage: () => void messages++ })
  stream.send(tokenRequest({ tokens: 100 }))
  stream.halfClose()
  await poll(() => messages).toBeGreaterThan(0)
  names.answers = ['127.0.0.3']
  await poll(() => proxy.metric('millrace_endpoint_connections')).toBeLessThanOrEqual(3)
  expect(await callMany(over, 100, 4)).toEqual([])
  expect(await stream.ended, 'its address is not named any more').toMatchObject({ status: 0, torn: false })
  expect(messages).toBe(100)
  names.answers = []
  await poll(() => proxy.metric('millrace_dns_failures_total')).toBeGreaterThan(1)
  expect(await callMany(over, 100, 4)).toEqual([])
})

test('a model whose first byte does not come in time is asked of another endpoint', async () => {
  const [stalls, serves] = [await sim(), await sim()]
  await stalls.behave('stall', 0)
  const endpoints = [
    { id: 'stalls/sim', address: stalls.listen },
    { id: 'serves/sim', address: serves.listen },
  ]
  const proxy = await proxyFor(endpoints)
  const timeouts = [{ name: 'sim_llm', policy: 'ROUND_ROBIN', timeouts: { firstByteMs: 300 } }]
  proxy.put({ ...staticSnapshot(endpoints), models: timeouts })
  await poll(() => proxy.metric('millrace_static_reloads_total')).toBe(1)
  const over = await session(proxy)
  const answers = await Promise.all(Array.from({ length: 8 }, () => ask(over, MODEL_INFER, tokenRequest({ tokens: 1 }))))
  expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(0))
  await poll(() => proxy.metric('millrace_slow_attempts_total')).toBeGreaterThan(0)
})
