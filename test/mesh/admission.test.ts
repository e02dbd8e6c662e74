/** Waiting before refusal, with real servers that have so many slots and no more: who gets in, who does not, and what it is told. */
import { afterEach, expect, test } from 'vitest'
import type { Admission } from '../../core/mesh-snapshot.ts'
import { tell, until } from '../tools/fleet.ts'
import { type Answer, ask, connectGrpc, type GrpcSession } from '../tools/grpc-session.ts'
import { startProxyWith, staticSnapshot, type TestProxy } from '../tools/proxy.ts'
import { expectSettled } from '../tools/settled.ts'
import { MODEL_INFER, startSim, type TestSim, tokenRequest } from '../tools/sim-server.ts'

const FREE = '127.0.0.1:0'
const EXHAUSTED = 8
const LATE = 4
const PATIENCE_MS = 60_000

const closers: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function sims(count: number, ...argv: string[]): Promise<TestSim[]> {
  const started = await Promise.all(
    Array.from({ length: count }, (_, at) => startSim('--listen', FREE, '--http-listen', FREE, '--seed', String(at + 1), ...argv)),
  )
  for (const one of started) closers.push(() => one.stop())
  return started
}

async function proxyFor(servers: readonly TestSim[], admission: Admission, ...argv: string[]): Promise<TestProxy> {
  const endpoints = servers.map(({ listen }, at) => ({ id: `gpu-${at}/sim`, address: listen }))
  const models = [{ name: 'sim_llm', policy: 'LEAST_REQUEST', admission }]
  const proxy = await startProxyWith({ ...staticSnapshot(endpoints), models }, ...argv)
  closers.push(() => proxy.stop())
  return proxy
}

async function session(proxy: TestProxy): Promise<GrpcSession> {
  const one = await connectGrpc(proxy.listen)
  closers.push(() => one.destroy())
  return one
}

const TOKENS = 20
const REQUEST = tokenRequest({ tokens: TOKENS })

/** So many requests a second, open loop, for a while; answers when all have ended. */
async function load(on: GrpcSession, perSecond: number, spanMs: number, headers: Readonly<Record<string, string>>) {
  const ends: { readonly status: number | undefined; readonly ms: number; readonly pushback: unknown }[] = []
  const open: Promise<void>[] = []
  const began = performance.now()
  const send = async (): Promise<void> => {
    const at = performance.now()
    const { status, headers: head } = await ask(on, MODEL_INFER, REQUEST, headers)
    ends.push({ status, ms: performance.now() - at, pushback: head['grpc-retry-pushback-ms'] })
  }
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const passed = Math.min(performance.now() - began, spanMs)
      while (open.length < (passed * perSecond) / 1_000) open.push(send())
      if (passed < spanMs) return
      clearInterval(timer)
      resolve()
    }, 5)
  })
  await Promise.all(open)
  return ends
}

const rank = (samples: readonly number[], at: number): number =>
  [...samples].sort((a, b) => a - b)[Math.floor(samples.length * at)] as number

const SLOTS = 24
/** So long that what a busy machine adds to a request is little beside it. */
const PREFILL_MS = 800
const SPAN_MS = 8_000
const POLITE = ['a', 'b', 'c', 'd']

test('one tenant at ten times its share gets what the others leave, and they are all served', async () => {
  const servers = await sims(2, '--slots', String(SLOTS), '--prefill-ms', String(PREFILL_MS), '--token-ms', '10')
  const proxy = await proxyFor(servers, { concurrency: 2 * SLOTS, queueMax: 100, tenantKey: 'x-tenant' })
  const sessions = await Promise.all([...POLITE, 'greedy'].map(() => session(proxy)))
  const fleetPerSecond = (2 * SLOTS * 1_000) / (PREFILL_MS + (TOKENS - 1) * 10)
  const share = fleetPerSecond / 5
  const polite = async (spanMs: number) =>
    (await Promise.all(POLITE.map((name, at) => load(sessions[at] as GrpcSession, 0.6 * share, spanMs, { 'x-tenant': name })))).flat()
  await polite(2_000)
  const alone = await polite(SPAN_MS)
  const [beside, greedy] = await Promise.all([
    polite(SPAN_MS),
    load(sessions[4] as GrpcSession, 10 * share, SPAN_MS, { 'x-tenant': 'greedy' }),
  ])
  const served = greedy.filter(({ status }) => status === 0)
  const refused = greedy.filter(({ status }) => status === EXHAUSTED)
  for (const part of [0.5, 0.99]) {
    const [before, after] = [alone, beside].map((ends) =>
      rank(
        ends.map(({ ms }) => ms),
        part,
      ),
    )
    tell(
      `p${part * 100} of the others: ${before?.toFixed(0)} ms without it, ${after?.toFixed(0)} ms with it, ${((after ?? 0) / (before ?? 1)).toFixed(2)} ×`,
    )
  }
  tell(`of ${greedy.length} requests of the greedy tenant ${served.length} were served, ${refused.length} refused`)
  expect([...alone, ...beside].filter(({ status }) => status !== 0)).toEqual([])
  expect(served.length + refused.length, 'every one of its requests has a plain end').toBe(greedy.length)
  expect(served.length, 'what others leave is not left unused').toBeGreaterThan(beside.length)
  expect(refused.every(({ pushback }) => Number(pushback) > 0)).toBe(true)
  await expectSettled(proxy)
  expect(await proxy.metric('millrace_queue_requests')).toBe(0)
  expect(await proxy.metric('millrace_queue_wait_seconds_count'), 'each that was sent is in the histogram').toBe(
    await proxy.metric('millrace_responses_total', 'status="0"'),
  )
})

test('a full queue of low priority gives way to high; what cannot be in time is told so at once', async () => {
  const [server] = (await sims(1, '--slots', '1', '--prefill-ms', '250', '--token-ms', '1')) as [TestSim]
  const row: Admission = { concurrency: 1, queueMax: 3, maxWaitMs: 30_000, priorityKey: 'x-priority', bands: ['high', 'low'] }
  const proxy = await proxyFor([server], row)
  const on = await session(proxy)
  expect((await ask(on, MODEL_INFER, REQUEST)).status, 'it learns how long a request takes').toBe(0)
  const order: string[] = []
  const send = (name: string, headers: Readonly<Record<string, string>>): Promise<Answer> =>
    ask(on, MODEL_INFER, REQUEST, headers).then((end) => {
      if (end.status === 0) order.push(name)
      return end
    })
  // The first is held by its server until all have been heard, however long a busy machine takes for that.
  await server.behave('stall', 0)
  const low = Array.from({ length: 4 }, (_, at) => send(`low ${at}`, { 'x-priority': 'low' }))
  await until('the queue is full', async () => (await proxy.metric('millrace_queue_requests', 'band="low"')) === 3, PATIENCE_MS)
  const hurried = await send('hurried', { 'x-priority': 'low', 'grpc-timeout': '50m' })
  expect(hurried.status).toBe(LATE)
  expect(hurried.details).toContain('its deadline is nearer')
  const late = performance.now()
  const full = await send('low 4', { 'x-priority': 'low' })
  tell(`a refusal takes ${(performance.now() - late).toFixed(1)} ms, as its client sees it`)
  expect([full.status, Number(full.headers['grpc-retry-pushback-ms']) > 0]).toEqual([EXHAUSTED, true])
  const high = send('high', { 'x-priority': 'high' })
  await until('high waits', async () => (await proxy.metric('millrace_queue_requests', 'band="high"')) === 1, PATIENCE_MS)
  await server.behave('normal')
  expect((await high).status).toBe(0)
  const ends = await Promise.all(low)
  expect(ends.filter(({ status }) => status === EXHAUSTED).map(({ details }) => details)).toEqual([
    expect.stringContaining('a request of a higher priority took its place'),
  ])
  expect(order, 'high goes before all that wait').toEqual(['low 0', 'high', 'low 1', 'low 2'])
  for (const reason of ['deadline-unmeetable', 'queue-full', 'shed'])
    await expect.poll(() => proxy.metric('millrace_refusals_total', `reason="${reason}"`)).toBe(1)
  await expectSettled(proxy)
})

test('a proxy of two workers keeps to one number, though its clients all sit on one of them', async () => {
  const [server] = await sims(1, '--slots', '32', '--prefill-ms', '50', '--token-ms', '5')
  const proxy = await proxyFor([server as TestSim], { concurrency: 8, queueMax: 1_000 }, '--workers', '2')
  const on = await session(proxy)
  let most = 0
  let over = false
  const watch = (async () => {
    while (!over) {
      const { running } = await (server as TestSim).stats()
      most = Math.max(most, running)
    }
  })()
  const ends = await load(on, 100, 2_000, {})
  over = true
  await watch
  tell(`at most ${most} requests at once of a concurrency of 8, all by one of two workers`)
  expect(ends.filter(({ status }) => status !== 0)).toEqual([])
  expect(most).toBeLessThanOrEqual(8)
  expect(most, 'more than its part, since the other needs none').toBeGreaterThan(4)
  await expectSettled(proxy)
})
