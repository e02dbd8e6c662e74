/** Token streams through one proxy: all of them at once, one that is not read, one that is given up. Times are printed; what is asserted is what came. */
import { createHash } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { connectGrpc, type GrpcSession, type GrpcStream } from '../tools/grpc-session.ts'
import { playStreams, type StreamsAccount } from '../tools/many-streams.ts'
import { startProxy, type TestProxy } from '../tools/proxy.ts'
import { expectSettled } from '../tools/settled.ts'
import { MODEL_STREAM_INFER, startSim, type TestSim, tokenIndexOf, tokenRequest } from '../tools/sim-server.ts'
import { DOWNLOAD, type Download, payloadOf, startTestService, type TestService } from '../tools/test-service.ts'

const full = process.env.MILLRACE_FULL === '1'
const opened: GrpcSession[] = []

async function connect(address: string): Promise<GrpcSession> {
  const session = await connectGrpc(address)
  opened.push(session)
  return session
}

describe('a thousand streams', () => {
  const streams = 1_000
  const tokenMs = 100
  const tokens = full ? 600 : 50
  let sim: TestSim
  let proxy: TestProxy

  beforeAll(async () => {
    // Prefill strays by as much as lies between two tokens, so that the streams do not speak all at once.
    sim = await startSim('--slots', String(streams), '--prefill-ms', '1000', '--token-ms', String(tokenMs), '--jitter', '0.05')
    proxy = await startProxy([{ id: 'gpu-a/sim', address: sim.listen }])
  })
  afterAll(async () => {
    await proxy?.stop()
    await sim?.stop()
  })

  const print = (name: string, { gaps: { p50, p99, max } }: StreamsAccount): void =>
    console.info(
      `${streams} streams, a message every ${tokenMs} ms, ${name}: gap p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)}, max ${max.toFixed(1)} ms`,
    )

  test('every message of every stream comes, in order and once, and nothing is left charged', {
    timeout: 2 * tokens * tokenMs + 120_000,
  }, async () => {
    const plan = { connections: 4, streams, tokens }
    const warmUp = { ...plan, tokens: 3 }
    await playStreams(sim.listen, warmUp)
    const direct = await playStreams(sim.listen, plan)
    const allSeen = Promise.withResolvers<void>()
    const running = playStreams(proxy.listen, { ...plan, until: allSeen.promise })
    try {
      await expect.poll(() => proxy.metric('millrace_ledger_open_attempts')).toBe(streams)
      await expect.poll(() => proxy.metric('millrace_requests_open')).toBe(streams)
    } finally {
      allSeen.resolve()
    }
    const through = await running
    print('direct', direct)
    print('through the proxy', through)
    expect(direct).toMatchObject({ messages: streams * tokens, faults: [] })
    expect(through).toMatchObject({ messages: streams * tokens, faults: [] })
    await expectSettled(proxy)
    expect(await sim.stats()).toMatchObject({ running: 0, queued: 0, finished: 3 * streams, cancelled: 0, refused: 0 })
    expect(await proxy.metric('millrace_messages_out_total')).toBe(streams * tokens)
    expect(await proxy.metric('millrace_http2_guards_total'), 'honest peers meet no guard').toBe(0)
  })
})

describe('one stream among others', () => {
  let sim: TestSim
  let narrow: TestSim
  let service: TestService
  let proxy: TestProxy

  beforeAll(async () => {
    sim = await startSim('--slots', '200', '--prefill-ms', '20', '--token-ms', '20')
    narrow = await startSim('--models', 'narrow', '--slots', '1', '--prefill-ms', '20', '--token-ms', '20')
    service = await startTestService()
    proxy = await startProxy([
      { id: 'gpu-a/service', address: service.address, models: ['alone'] },
      { id: 'gpu-b/sim', address: sim.listen, models: ['sim_llm'] },
      { id: 'gpu-c/narrow', address: narrow.listen, models: ['narrow'] },
    ])
  })
  afterEach(async () => {
    try {
      // The connections are still there: it is the streams' own ends that settle them.
      await expectSettled(proxy)
    } finally {
      for (const session of opened.splice(0)) session.destroy()
    }
  })
  afterAll(async () => {
    await proxy?.stop()
    service?.stop()
    await sim?.stop()
    await narrow?.stop()
  })

  describe('that is not read', () => {
    const big: Download = { messages: 160, bytes: 65_536 }

    const digest = ({ messages, bytes }: Download): string => {
      const hash = createHash('sha256')
      for (let message = 0; message < messages; message++) hash.update(payloadOf(message, bytes))
      return hash.digest('hex')
    }

    /** A download that stops reading for good once `until` bytes have come, to be resumed by hand. */
    function startSlow(session: GrpcSession, until: number): { readonly stream: GrpcStream; digest(): Promise<string> } {
      const hash = createHash('sha256')
      let received = 0
      const stream = session.open(DOWNLOAD, {
        onMessage(message) {
          hash.update(message)
          const before = received
          received += message.length
          if (before < until && received >= until) stream.http.pause()
        },
      })
      if (until === 0) stream.http.pause()
      stream.send(Buffer.from(JSON.stringify(big)))
      stream.halfClose()
      return {
        stream,
        async digest() {
          expect(await stream.ended).toMatchObject({ status: 0, torn: false })
          return hash.digest('hex')
        },
      }
    }

    async function standsStill(read: () => number, least: number): Promise<void> {
      let last = -1
      let looks = 0
      const still = (): number => {
        looks = read() === last && last > least ? looks + 1 : 0
        last = read()
        return looks
      }
      await expect.poll(still, { interval: 100 }).toBeGreaterThanOrEqual(10)
    }

    async function tokensOf(session: GrpcSession, tokens: number): Promise<number[]> {
      const indexes: number[] = []
      const stream = session.open(MODEL_STREAM_INFER, { onMessage: (message) => void indexes.push(tokenIndexOf(message)) })
      stream.send(tokenRequest({ tokens }))
      stream.halfClose()
      expect(await stream.ended).toMatchObject({ status: 0 })
      return indexes
    }

    async function downloadOf(session: GrpcSession, download: Download): Promise<string> {
      const hash = createHash('sha256')
      const stream = session.open(DOWNLOAD, { onMessage: (message) => void hash.update(message) })
      stream.send(Buffer.from(JSON.stringify(download)))
      stream.halfClose()
      expect(await stream.ended).toMatchObject({ status: 0 })
      return hash.digest('hex')
    }

    const held = async (): Promise<number> =>
      (await proxy.metric('millrace_relay_buffered_bytes')) + (await proxy.metric('millrace_socket_backlog_bytes'))

    test.each([
      { when: 'from its start', until: 0 },
      { when: 'after it read fast for a while', until: 4 * 1024 * 1024 },
    ])('$when holds its window, slows nobody, and gets every byte when it reads again', async ({ when, until }) => {
      const same = await connect(proxy.listen)
      const other = await connect(proxy.listen)
      const before = service.written()
      const slow = startSlow(same, until)
      await standsStill(service.written, before + until)
      const window = limits.streamWindowStart + (await proxy.metric('millrace_window_budget_used_bytes'))
      expect(await proxy.metric('millrace_relay_buffered_bytes')).toBeGreaterThan(0)

      let most = 0
      let done = false
      const tokens = 100
      const neighbours = Promise.all([same, other].flatMap((session) => Array.from({ length: 20 }, () => tokensOf(session, tokens))))
      const all = neighbours.finally(() => {
        done = true
      })
      while (!done) most = Math.max(most, await held())
      const inOrder = Array.from({ length: tokens }, (_, index) => index)
      for (const indexes of await all) expect(indexes).toEqual(inOrder)
      console.info(`a reader that stops ${when}: holds ${most} bytes at most, its window is ${window}`)
      expect(most).toBeLessThanOrEqual(window + 128 * 1024)

      // These also share its connection to the endpoint.
      const small: Download = { messages: 20, bytes: 50_000 }
      const downloads = await Promise.all([same, other, same, other].map((session) => downloadOf(session, small)))
      expect(new Set(downloads)).toEqual(new Set([digest(small)]))
      // The page tells what workers said up to 50 ms ago, when the downloads still held windows of their own.
      await expect.poll(held).toBeLessThanOrEqual(window + 128 * 1024)

      slow.stream.http.resume()
      expect(await slow.digest()).toBe(digest(big))
    })
  })

  describe('that is given up', () => {
    /** So long that the next request waits by then. */
    const DEADLINE_MS = 4_000
    type Way = {
      readonly way: string
      readonly headers?: Readonly<Record<string, string>>
      act?(session: GrpcSession, stream: GrpcStream): void
    }
    const WAYS: readonly Way[] = [
      { way: 'a cancel', act: (_session, stream) => stream.cancel() },
      { way: 'a connection that dies', act: (session) => session.destroy() },
      { way: 'a deadline', headers: { 'grpc-timeout': `${DEADLINE_MS}m` } },
    ]

    test.each(WAYS)('by $way is stopped at the model server, and its slot serves the next', async ({ way, headers, act }) => {
      const session = await connect(proxy.listen)
      const next = await connect(proxy.listen)
      const before = await narrow.stats()
      const openedAt = performance.timeOrigin + performance.now()
      const indexes: number[] = []
      const stream = session.open(MODEL_STREAM_INFER, {
        ...(headers === undefined ? {} : { headers }),
        onMessage: (message) => void indexes.push(tokenIndexOf(message)),
      })
      stream.send(tokenRequest({ model: 'narrow', tokens: 10_000 }))
      await expect.poll(() => indexes.length, { interval: 10 }).toBeGreaterThanOrEqual(3)
      const waiting: number[] = []
      const second = next.open(MODEL_STREAM_INFER, { onMessage: (message) => void waiting.push(tokenIndexOf(message)) })
      second.send(tokenRequest({ model: 'narrow', tokens: 3 }))
      second.halfClose()
      await expect.poll(() => narrow.stats(), { interval: 10 }).toMatchObject({ running: 1, queued: 1 })

      const givenUpAt = act === undefined ? openedAt + DEADLINE_MS : performance.timeOrigin + performance.now()
      act?.(session, stream)
      await expect.poll(async () => (await narrow.stats()).cancelled, { interval: 20 }).toBe(before.cancelled + 1)
      const lastCancelAt = (await narrow.stats()).lastCancelAt ?? Number.POSITIVE_INFINITY
      console.info(`${way}: seen by the model server after ${(lastCancelAt - givenUpAt).toFixed(1)} ms`)
      if (act === undefined) expect(await stream.ended).toMatchObject({ status: 4 })

      expect(await second.ended).toMatchObject({ status: 0, torn: false })
      expect(waiting).toEqual([0, 1, 2])
      await expect.poll(() => narrow.stats(), { interval: 20 }).toMatchObject({ running: 0, queued: 0, cancelled: before.cancelled + 1 })
    })
  })
})
