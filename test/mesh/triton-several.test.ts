/**
 * One client stream with requests for models that different Tritons serve. What its client sees is what one Triton with all the models answers: the same
 * messages, those of plain models in the order of the requests, and token streams past them.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readMetric, startProxy, type TestProxy } from '../tools/proxy.ts'
import { probe } from '../tools/python.ts'
import { expectSettled } from '../tools/settled.ts'
import { startTriton, type TestTriton } from '../tools/triton.ts'

const EQUAL = [
  'order_of_answers',
  'errors_between',
  'large_between_tokens',
  'each_behind_the_answer',
  'sequences',
  'compressed_together',
  'unreadable_input',
  'cancelled_together',
]

let servers: TestTriton[]
let proxy: TestProxy
let direct: Record<string, unknown>
let proxied: Record<string, unknown>

beforeAll(async () => {
  servers = await Promise.all([startTriton(), startTriton(), startTriton()])
  const [alone, plain, tokens] = servers as [TestTriton, TestTriton, TestTriton]
  proxy = await startProxy([
    { id: 'gpu-a/triton', address: plain.grpc, models: ['echo', 'add_sub'] },
    { id: 'gpu-b/triton', address: tokens.grpc, models: ['llm_stream'] },
  ])
  direct = await probe(alone.grpc, ...EQUAL)
  proxied = await probe(proxy.listen, ...EQUAL)
})
afterAll(async () => {
  await proxy?.stop()
  await Promise.all((servers ?? []).map((server) => server.stop()))
})

test.each(EQUAL)('%s is what one Triton answers', (scenario) => {
  expect(direct[scenario]).toBeDefined()
  expect(proxied[scenario]).toEqual(direct[scenario])
})

test('answers of plain models come in the order of the requests, tokens before them', () => {
  expect(proxied.order_of_answers).toEqual({
    events: ['tokens token 0', 'tokens token 1', 'tokens token 2', 'slow [0.0, 1.0]', 'behind [2.0, 3.0]', 'error', 'last [0.0, 1.0]'],
    rest: 0,
  })
})

test('each server was asked for its own models only, and nothing is left behind', async () => {
  await expectSettled(proxy)
  const [, plain, tokens] = servers as [TestTriton, TestTriton, TestTriton]
  const done = (server: TestTriton, model: string) => readMetric(server.metrics, 'nv_inference_request_success', `model="${model}"`)
  expect([await done(plain, 'llm_stream'), await done(tokens, 'echo'), await done(tokens, 'add_sub')]).toEqual([0, 0, 0])
  // Triton counts a call only some time after its answer has left.
  await expect.poll(() => done(tokens, 'llm_stream')).toBeGreaterThan(0)
  expect(await proxy.metric('millrace_answers_held_bytes')).toBe(0)
})
