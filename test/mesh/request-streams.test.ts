/** Many requests in one client stream, for models of two simulated servers: all are answered, none waits for another, and nothing outlives the client. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { ModelStreamInferResponse } from '../../proto/gen/inference/grpc_service.ts'
import { connectGrpc, type GrpcSession } from '../tools/grpc-session.ts'
import { startProxy, type TestProxy } from '../tools/proxy.ts'
import { expectSettled } from '../tools/settled.ts'
import { MODEL_STREAM_INFER, startSim, type TestSim, tokenIndexOf, tokenRequest } from '../tools/sim-server.ts'

const MODELS = ['near', 'far']
let sims: TestSim[]
let proxy: TestProxy
let session: GrpcSession

beforeAll(async () => {
  sims = await Promise.all(MODELS.map((model) => startSim('--models', model, '--slots', '200', '--prefill-ms', '20', '--token-ms', '10')))
  proxy = await startProxy(sims.map((sim, index) => ({ id: `gpu-${index}/sim`, address: sim.listen, models: [MODELS[index] ?? ''] })))
  session = await connectGrpc(proxy.listen)
})
afterEach(async () => {
  await expectSettled(proxy)
  expect(await proxy.metric('millrace_answers_held_bytes')).toBe(0)
})
afterAll(async () => {
  session?.destroy()
  await proxy?.stop()
  await Promise.all((sims ?? []).map((sim) => sim.stop()))
})

const idOf = (message: Buffer): string => {
  const { errorMessage, inferResponse } = ModelStreamInferResponse.decode(message)
  return errorMessage === '' ? (inferResponse?.id ?? '') : `${inferResponse?.id}: ${errorMessage}`
}

test('a hundred requests for two models in one stream are all answered, each token once and in order', async () => {
  const heard = new Map<string, number[]>()
  const stream = session.open(MODEL_STREAM_INFER, {
    onMessage(message) {
      const id = idOf(message)
      heard.set(id, [...(heard.get(id) ?? []), tokenIndexOf(message)])
    },
  })
  for (let number = 0; number < 100; number++)
    stream.send(tokenRequest({ model: MODELS[number % 2] ?? '', id: `r${number}`, tokens: 1 + (number % 7) }))
  stream.halfClose()
  expect(await stream.ended).toMatchObject({ status: 0, torn: false })
  expect(heard.size).toBe(100)
  for (const [id, indexes] of heard) expect(indexes, id).toEqual(Array.from({ length: 1 + (Number(id.slice(1)) % 7) }, (_, index) => index))
})

test('a server that breaks ends its own requests with an error, and those of the other go on', async () => {
  const heard: string[] = []
  const stream = session.open(MODEL_STREAM_INFER, { onMessage: (message) => void heard.push(idOf(message)) })
  await sims[1]?.behave('reset', 3)
  stream.send(tokenRequest({ model: 'near', id: 'whole', tokens: 20 }))
  stream.send(tokenRequest({ model: 'far', id: 'broken', tokens: 20 }))
  stream.halfClose()
  expect(await stream.ended).toMatchObject({ status: 0, torn: false })
  await sims[1]?.behave('normal')
  expect(heard.filter((one) => one === 'whole')).toHaveLength(20)
  expect(heard.filter((one) => one.startsWith('broken: '))).toEqual([expect.stringContaining('reset')])
})

test.each([
  ['a cancel', (stream: { cancel(): void }) => stream.cancel()],
  ['a connection that dies', (_stream: unknown, own: GrpcSession) => own.destroy()],
] as const)('%s stops all requests at both servers', async (_name, leave) => {
  const own = await connectGrpc(proxy.listen)
  const before = await Promise.all(sims.map((sim) => sim.stats()))
  const heard = new Set<string>()
  const stream = own.open(MODEL_STREAM_INFER, { onMessage: (message) => void heard.add(idOf(message)) })
  for (let number = 0; number < 10; number++)
    stream.send(tokenRequest({ model: MODELS[number % 2] ?? '', id: String(number), tokens: 10_000 }))
  await expect.poll(() => heard.size, { interval: 10 }).toBe(10)
  // A worker's report reaches the page a moment later.
  await expect.poll(() => proxy.metric('millrace_requests_open')).toBe(10)
  leave(stream, own)
  for (const [at, sim] of sims.entries())
    await expect
      .poll(() => sim.stats(), { interval: 20 })
      .toMatchObject({ running: 0, queued: 0, cancelled: (before[at]?.cancelled ?? 0) + 5 })
  own.destroy()
})
