/** Several workers behind one listener: one that dies or hangs takes only its own with it, and all can be replaced under load without a failed request. */
import { afterEach, expect, test } from 'vitest'
import { tell, until } from '../tools/fleet.ts'
import { freePorts } from '../tools/free-ports.ts'
import { ask, connectGrpc, type GrpcSession } from '../tools/grpc-session.ts'
import { Load } from '../tools/load.ts'
import { playStreams } from '../tools/many-streams.ts'
import { childrenOf, startProxy, staticSnapshot, type TestProxy } from '../tools/proxy.ts'
import { connectRaw } from '../tools/raw-h2.ts'
import { MODEL_STREAM_INFER, startSim, type TestSim, tokenRequest } from '../tools/sim-server.ts'

const FREE = '127.0.0.1:0'
const PER_SECOND = 150
const DEADLINE_MS = 60_000

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function sim(...argv: string[]): Promise<TestSim> {
  const started = await startSim('--listen', FREE, '--http-listen', FREE, '--slots', '64', '--queue-max', '1000', ...argv)
  closers.push(() => started.stop())
  return started
}

async function proxyFor(sims: readonly TestSim[], ...argv: string[]): Promise<TestProxy> {
  const proxy = await startProxy(
    sims.map(({ listen }, at) => ({ id: `gpu-${at}/sim`, address: listen })),
    ...argv,
  )
  closers.push(() => proxy.stop())
  return proxy
}

function loadOn(proxy: TestProxy, connections = 6): Load {
  const load = new Load({ to: proxy.listen, perSecond: PER_SECOND, connections })
  closers.push(() => load.stop())
  return load
}

const goesWell = (load: Load, count: number, from = performance.now()): Promise<void> =>
  until('requests go well', () => load.ended(from).length >= count, DEADLINE_MS)

test('kill -9 of one worker of three ends its own streams only, its replacement serves, and no counter falls', async () => {
  const proxy = await proxyFor([await sim('--token-ms', '50')], '--workers', '3')
  const sessions = await Promise.all(Array.from({ length: 6 }, () => connectGrpc(proxy.listen)))
  closers.push(async () => {
    for (const session of sessions) session.destroy()
  })
  let messages = 0
  const streams = sessions.map((session) => {
    const stream = session.open(MODEL_STREAM_INFER, { onMessage: () => void messages++ })
    stream.send(tokenRequest({ tokens: 80 }))
    return stream
  })
  await until('all streams run', () => messages > 12, DEADLINE_MS)
  await expect.poll(() => proxy.metric('millrace_requests_open'), { timeout: DEADLINE_MS }).toBe(6)
  const counted = await proxy.metric('millrace_http2_frames_in_total')
  const victim = childrenOf(proxy.part.pid)[1] ?? 0
  process.kill(victim, 'SIGKILL')
  // Only now: none has ended well before.
  for (const stream of streams) if (!stream.http.closed) stream.halfClose()
  const ends = await Promise.all(streams.map((stream) => stream.ended))
  expect(
    ends.filter(({ status, torn }) => status === 0 && !torn),
    'each worker had two of the six',
  ).toHaveLength(4)
  expect(ends.filter(({ status }) => status === undefined)).toHaveLength(2)
  await until('it is gone', () => !childrenOf(proxy.part.pid).includes(victim), DEADLINE_MS)
  await until('a replacement', async () => (await proxy.metric('millrace_workers', 'state="serving"')) === 3, DEADLINE_MS)
  expect(await proxy.metric('millrace_worker_crashes_total')).toBe(1)
  expect(await proxy.metric('millrace_http2_frames_in_total'), 'a counter never falls').toBeGreaterThan(counted)
  const load = loadOn(proxy)
  await goesWell(load, PER_SECOND)
  expect(load.failed()).toEqual([])
})

test('SIGUSR2 replaces one worker after the other; neither a request nor a stream fails of it', async () => {
  const proxy = await proxyFor([await sim('--token-ms', '20'), await sim('--token-ms', '20')], '--workers', '2')
  const load = loadOn(proxy)
  await goesWell(load, PER_SECOND)
  const before = childrenOf(proxy.part.pid)
  const allSeen = Promise.withResolvers<void>()
  const playing = playStreams(proxy.listen, { connections: 4, streams: 24, tokens: 150, until: allSeen.promise })
  await until('streams run', async () => (await proxy.metric('millrace_requests_open')) >= 24, DEADLINE_MS).finally(allSeen.resolve)
  const requests = await proxy.metric('millrace_requests_total')
  const began = performance.now()
  process.kill(proxy.part.pid, 'SIGUSR2')
  await until('both are replaced', async () => (await proxy.metric('millrace_worker_restarts_total')) === 2, DEADLINE_MS)
  tell(`two workers replaced in ${Math.round(performance.now() - began)} ms under ${PER_SECOND} requests/s and 24 streams`)
  const account = await playing
  await goesWell(load, PER_SECOND)
  expect(account.faults).toEqual([])
  expect(load.failed()).toEqual([])
  expect(await proxy.metric('millrace_worker_crashes_total')).toBe(0)
  expect(await proxy.metric('millrace_requests_total'), 'a counter never falls').toBeGreaterThan(requests)
  const after = () => childrenOf(proxy.part.pid)
  await expect.poll(() => after().filter((pid) => before.includes(pid))).toEqual([])
  expect(after()).toHaveLength(2)
})

test('a worker that hangs is killed and replaced, while the other serves', async () => {
  const proxy = await proxyFor([await sim()], '--workers', '2')
  const [hung = 0] = childrenOf(proxy.part.pid)
  process.kill(hung, 'SIGSTOP')
  const stoppedAt = performance.now()
  await until('it is noticed', async () => (await proxy.metric('millrace_worker_hangs_total')) === 1, DEADLINE_MS)
  tell(`a worker that stands still is killed after ${Math.round(performance.now() - stoppedAt)} ms`)
  await until('it is gone', () => !childrenOf(proxy.part.pid).includes(hung), DEADLINE_MS)
  await until('it is replaced', async () => (await proxy.metric('millrace_workers', 'state="serving"')) === 2, DEADLINE_MS)
  const load = loadOn(proxy)
  await goesWell(load, PER_SECOND)
  expect(load.failed()).toEqual([])
})

test('who was on the way to a worker that dies is served by its replacement', async () => {
  const proxy = await proxyFor([await sim()], '--workers', '1')
  const [worker = 0] = childrenOf(proxy.part.pid)
  process.kill(worker, 'SIGSTOP')
  const peers = await Promise.all(Array.from({ length: 6 }, () => connectRaw(proxy.listen)))
  closers.push(async () => {
    for (const peer of peers) peer.close()
  })
  // It answers behind having taken them.
  await proxy.metric('millrace_workers')
  process.kill(worker, 'SIGKILL')
  const ends = await Promise.all(
    peers.map((peer) =>
      peer.barrier().then(
        () => 'served',
        ({ message }: Error) => message,
      ),
    ),
  )
  // One had left for the worker: it is lost with it, and knows at once.
  expect(ends.filter((end) => end !== 'served')).toEqual([expect.stringContaining('the connection closed')])
})

const MANY = 10_000

test('ten thousand endpoints come, change and go by the file while requests run, and the metrics page stays bounded', async () => {
  const served = await sim()
  const proxy = await proxyFor([served], '--workers', '2', '--turn-grain-ms', '1')
  const load = loadOn(proxy)
  await goesWell(load, PER_SECOND)
  const longest = async (): Promise<string> =>
    (await Promise.all(['primary', 'worker-0', 'worker-1'].map(async (name) => `${name} ${await turnOf(proxy, name)} ms`))).join(', ')
  const many = (name: string) =>
    Array.from({ length: MANY }, (_, at) => ({ id: `${name}-${at}/sim`, address: '127.0.0.1:9', models: ['elsewhere'] }))
  const knows = (count: number): Promise<void> =>
    until(`${count} endpoints`, async () => (await proxy.metric('millrace_endpoint_count')) === count, DEADLINE_MS)
  const read = (): number => proxy.part.stderr.filter((line) => line.includes(`"endpoints":${MANY + 1}`)).length
  for (const [at, name] of ['first', 'second'].entries()) {
    proxy.put(staticSnapshot([{ id: 'gpu-0/sim', address: served.listen }, ...many(name)]))
    await until('it is read', () => read() === at + 1, DEADLINE_MS)
    await knows(MANY + 1)
    tell(`longest turns while ten thousand endpoints came: ${await longest()} (wanted: 5)`)
  }
  const rows = async (): Promise<string[]> =>
    (await (await fetch(`http://${proxy.part.fields.metrics}/metrics`)).text())
      .split('\n')
      .filter((line) => line.startsWith('millrace_endpoint_in_flight{'))
  await expect.poll(rows, { timeout: DEADLINE_MS }).toHaveLength(1_001)
  expect(await rows()).toContain('millrace_endpoint_in_flight{endpoint="other"} 0')
  await expect.poll(() => proxy.metric('millrace_endpoints_unnamed'), { timeout: DEADLINE_MS }).toBe(MANY + 1 - 1_000)
  proxy.put(staticSnapshot([{ id: 'gpu-0/sim', address: served.listen }]))
  await knows(1)
  await goesWell(load, PER_SECOND)
  expect(load.failed()).toEqual([])
})

const turnOf = async (proxy: TestProxy, name: string): Promise<string> =>
  ((await proxy.metric('millrace_event_loop_turn_seconds', `process="${name}"`)) * 1_000).toFixed(1)

test('who comes before a worker is ready waits for it, and is not refused', async () => {
  const server = await sim()
  const [port = 0] = await freePorts(1)
  const starting = proxyFor([server], '--listen', `127.0.0.1:${port}`)
  let session: GrpcSession | undefined
  await until(
    'the port is open',
    async () => {
      session = await connectGrpc(`127.0.0.1:${port}`).catch(() => undefined)
      return session !== undefined
    },
    DEADLINE_MS,
  )
  const { status } = await ask(session as GrpcSession, MODEL_STREAM_INFER, tokenRequest({ tokens: 1 }))
  session?.destroy()
  expect(status).toBe(0)
  await starting
})
