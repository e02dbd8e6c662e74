/** A server that holds its answers back, beside one that does not: who waits, who answers, and what is left of the answers that came too late. */
import { status } from '@grpc/grpc-js'
import { afterEach, expect, test } from 'vitest'
import { ModelInferResponse } from '../../proto/gen/inference/grpc_service.ts'
import { tell, until } from '../tools/fleet.ts'
import { ask, connectGrpc } from '../tools/grpc-session.ts'
import { startProxyWith, staticSnapshot, type TestProxy } from '../tools/proxy.ts'
import { expectSettled } from '../tools/settled.ts'
import { MODEL_INFER, startSim, type TestSim, tokenRequest } from '../tools/sim-server.ts'

const FREE = '127.0.0.1:0'
const DEADLINE_MS = 30_000
const REQUESTS = 4
/** Far above what the other takes, also on a busy machine. */
const HEDGE = { afterMs: 1_000 }

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function sim(): Promise<TestSim> {
  const quick = ['--slots', '64', '--prefill-ms', '1', '--token-ms', '1', '--models', 'llm']
  const started = await startSim('--listen', FREE, '--http-listen', FREE, ...quick)
  closers.push(() => started.stop())
  return started
}

type Pair = { readonly proxy: TestProxy; readonly held: TestSim; readonly other: TestSim }

/** Each is asked in turn; one takes every request, and answers none. */
async function pair(row: object): Promise<Pair> {
  const [held, other] = [await sim(), await sim()]
  const endpoints = [
    { id: 'held/sim', address: held.listen, models: ['llm'] },
    { id: 'other/sim', address: other.listen, models: ['llm'] },
  ]
  await held.behave('stall', 0)
  const proxy = await startProxyWith({ ...staticSnapshot(endpoints), models: [{ name: 'llm', policy: 'ROUND_ROBIN', ...row }] })
  closers.push(() => proxy.stop())
  return { proxy, held, other }
}

test.each([
  ['its own name', 'llm'],
  ['an alias', 'chat'],
])(
  'nobody waits for a server that holds its answers back: a request under %s is sent to the other, and taken back from it',
  async (_, name) => {
    const { proxy, held, other } = await pair({ aliases: ['chat'], hedge: HEDGE })
    const on = await connectGrpc(proxy.listen)
    closers.push(() => on.destroy())
    let slowest = 0
    for (let at = 0; at < REQUESTS; at++) {
      const began = performance.now()
      const answer = await ask(on, MODEL_INFER, tokenRequest({ model: name, tokens: 2 }))
      slowest = Math.max(slowest, performance.now() - began)
      expect([answer.status, answer.headers['x-millrace-endpoint']], answer.details).toEqual([status.OK, 'other/sim'])
      expect(ModelInferResponse.decode(answer.messages[0] as Buffer).modelName).toBe('llm')
    }
    await until('the held one has ended all', async () => (await held.stats()).running === 0, DEADLINE_MS)
    const [taken, answered] = [await held.stats(), await other.stats()]
    tell(`${taken.cancelled} of ${REQUESTS} were sent to the server that hangs, the slowest answer came after ${Math.round(slowest)} ms`)
    expect(taken.cancelled).toBeGreaterThan(0)
    expect([taken.finished, answered.finished]).toEqual([0, REQUESTS])
    for (const metric of ['millrace_hedges_total', 'millrace_hedges_won_total'])
      await expect.poll(() => proxy.metric(metric), { timeout: DEADLINE_MS }).toBe(taken.cancelled)
    await expectSettled(proxy)
  },
)

test('without a rule nothing is sent twice: the request waits until its deadline', async () => {
  const { proxy, held } = await pair({})
  const on = await connectGrpc(proxy.listen)
  closers.push(() => on.destroy())
  const ends = []
  for (let at = 0; at < 2; at++) ends.push(await ask(on, MODEL_INFER, tokenRequest({ model: 'llm', tokens: 2 }), { 'grpc-timeout': '3S' }))
  expect(ends.map((one) => one.status).toSorted()).toEqual([status.OK, status.DEADLINE_EXCEEDED])
  await until('the held one has ended it', async () => (await held.stats()).cancelled === 1, DEADLINE_MS)
  expect(await proxy.metric('millrace_hedges_total')).toBe(0)
  await expectSettled(proxy)
})
