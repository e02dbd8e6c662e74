import { once } from 'node:events'
import { type ClientDuplexStream, credentials, Metadata, type ServiceError, type StatusObject, status } from '@grpc/grpc-js'
import { afterEach, expect, test } from 'vitest'
import { millis } from '../../core/units.ts'
import {
  GRPCInferenceServiceClient,
  ModelInferRequest,
  type ModelInferResponse,
  type ModelStatisticsResponse,
  type ModelStreamInferResponse,
} from '../../proto/gen/inference/grpc_service.ts'
import type { Behaviour } from './behaviour.ts'
import type { QueueRules } from './queue.ts'
import { type SimServer, serveSim } from './serve.ts'
import { textOf } from './story.ts'

const RULES: QueueRules = { slots: 4, queueMax: 100, prefill: millis(2), token: millis(1), jitter: 0, factor: 1 }
const NORMAL: Behaviour = { mode: 'normal', afterTokens: 3, factor: 10 }

const closers: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function start(rules: Partial<QueueRules> = {}, behaviour: Partial<Behaviour> = {}) {
  const server: SimServer = await serveSim({
    listen: '127.0.0.1:0',
    httpListen: '127.0.0.1:0',
    models: ['sim_llm'],
    rules: { ...RULES, ...rules },
    behaviour: { ...NORMAL, ...behaviour },
    seed: 1,
    die: () => {},
  })
  closers.push(() => server.close())
  const client = new GRPCInferenceServiceClient(server.listen, credentials.createInsecure())
  closers.push(() => client.close())
  const post = (path: string, body: unknown): Promise<Response> =>
    fetch(`http://${server.http}${path}`, { method: 'POST', body: JSON.stringify(body) })
  const page = async (path: string): Promise<string> => (await fetch(`http://${server.http}${path}`)).text()
  return { server, client, post, page }
}

function ask(id: string, tokens: number, parameters: ModelInferRequest['parameters'] = {}): ModelInferRequest {
  const input = { shape: [1n], parameters: {} }
  return ModelInferRequest.create({
    modelName: 'sim_llm',
    id,
    parameters,
    inputs: [
      { ...input, name: 'text_input', datatype: 'BYTES', contents: { bytesContents: [Buffer.from('hello')] } },
      { ...input, name: 'max_tokens', datatype: 'INT32', contents: { intContents: [tokens] } },
    ],
  })
}

type Stream = ClientDuplexStream<ModelInferRequest, ModelStreamInferResponse>

/** Everything that a stream brought until its end, which is a status. */
async function drain(stream: Stream): Promise<{ answers: ModelStreamInferResponse[]; code: number; details: string }> {
  const answers: ModelStreamInferResponse[] = []
  stream.on('data', (answer) => answers.push(answer))
  stream.on('error', () => {})
  const { code, details } = await new Promise<StatusObject>((resolve) => stream.once('status', resolve))
  return { answers, code, details }
}

const unary = (client: GRPCInferenceServiceClient, request: ModelInferRequest): Promise<ModelInferResponse | ServiceError> =>
  new Promise((resolve) => void client.modelInfer(request, (error, response) => resolve(error ?? response)))

const textIn = (response: ModelInferResponse | undefined): string => response?.rawOutputContents[0]?.toString('utf8', 4) ?? ''
const indexIn = (response: ModelInferResponse | undefined): number | undefined => response?.rawOutputContents[1]?.readInt32LE(0)
const isFinal = (answer: ModelStreamInferResponse): boolean | undefined => {
  const choice = answer.inferResponse?.parameters.triton_final_response?.parameterChoice
  return choice?.$case === 'boolParam' ? choice.value : undefined
}

test('a unary request is answered with the whole text', async () => {
  const { client } = await start()
  const response = (await unary(client, ask('u1', 5))) as ModelInferResponse
  expect([response.id, response.modelName, textIn(response), indexIn(response)]).toEqual(['u1', 'sim_llm', textOf(5), 4])
})

test('a stream brings one token a message, the last one marked final', async () => {
  const { client } = await start()
  const stream = client.modelStreamInfer()
  stream.write(ask('s1', 4))
  stream.end()
  const { answers, code } = await drain(stream)
  expect(code).toBe(status.OK)
  expect(answers.map((answer) => textIn(answer.inferResponse)).join('')).toBe(textOf(4))
  expect(answers.map((answer) => indexIn(answer.inferResponse))).toEqual([0, 1, 2, 3])
  expect(answers.map(isFinal)).toEqual([false, false, false, true])
  expect(answers[0]?.inferResponse?.outputs.map(({ name, datatype, shape }) => [name, datatype, shape])).toEqual([
    ['text_output', 'BYTES', [1n]],
    ['token_index', 'INT32', [1n]],
  ])
})

test('who asks for an empty final response gets one, and no token is final', async () => {
  const { client } = await start()
  const stream = client.modelStreamInfer()
  stream.write(ask('s1', 2, { triton_enable_empty_final_response: { parameterChoice: { $case: 'boolParam', value: true } } }))
  stream.end()
  const { answers } = await drain(stream)
  expect(answers.map(isFinal)).toEqual([false, false, true])
  expect(answers.map((answer) => answer.inferResponse?.outputs.length)).toEqual([2, 2, 0])
  expect(answers[2]?.inferResponse?.id).toBe('s1')
})

test('requests of one stream run side by side and are told apart by id', async () => {
  const { client } = await start({ token: millis(50) })
  const stream = client.modelStreamInfer()
  for (const id of ['a', 'b', 'c']) stream.write(ask(id, 5))
  stream.end()
  const { answers } = await drain(stream)
  const ids = answers.map((answer) => answer.inferResponse?.id ?? '')
  for (const id of ['a', 'b', 'c']) expect(ids.filter((one) => one === id)).toHaveLength(5)
  const [begins, ends] = [['a', 'b', 'c'].map((id) => ids.indexOf(id)), ['a', 'b', 'c'].map((id) => ids.lastIndexOf(id))]
  expect(Math.max(...begins), 'the last begins before the first ends').toBeLessThan(Math.min(...ends))
})

test('an error before execution is a message with the id alone, and the stream goes on', async () => {
  const { client } = await start()
  const stream = client.modelStreamInfer()
  stream.write({ ...ask('bad', 1), modelName: 'nobody' })
  stream.write(ask('good', 1))
  stream.end()
  const { answers, code } = await drain(stream)
  expect(code).toBe(status.OK)
  expect(answers[0]?.errorMessage).toContain("'nobody' is not found")
  expect([answers[0]?.inferResponse?.id, isFinal(answers[0] as ModelStreamInferResponse)]).toEqual(['bad', undefined])
  expect(answers[1]?.inferResponse?.id).toBe('good')
})

test('with triton_grpc_error the first error ends the stream with its status', async () => {
  const { client } = await start()
  const metadata = new Metadata()
  metadata.set('triton_grpc_error', 'true')
  const stream = client.modelStreamInfer(metadata)
  stream.write({ ...ask('bad', 1), modelName: 'nobody' })
  stream.write(ask('good', 1))
  expect(await drain(stream)).toMatchObject({ answers: [], code: status.NOT_FOUND })
})

test.each([
  ['an unknown model', { ...ask('x', 1), modelName: 'nobody' }, status.NOT_FOUND, 'not found'],
  ['no prompt', { ...ask('x', 1), inputs: [] }, status.INVALID_ARGUMENT, 'text_input'],
  ['no tokens wanted', ask('x', 0), status.INVALID_ARGUMENT, 'max_tokens'],
  ['raw tensors that do not match', { ...ask('x', 1), rawInputContents: [Buffer.alloc(4)] }, status.INVALID_ARGUMENT, 'raw_input_contents'],
])('a unary request with %s is refused in words', async (_what, request, code, words) => {
  const { client } = await start()
  const error = (await unary(client, request)) as ServiceError
  expect([error.code, error.details.includes(words)]).toEqual([code, true])
})

test('raw tensors are read as well', async () => {
  const { client } = await start()
  const request = { ...ask('r', 1), rawInputContents: [Buffer.from('\u0002\0\0\0hi'), Buffer.from([3, 0, 0, 0])] }
  expect(textIn((await unary(client, request)) as ModelInferResponse)).toBe(textOf(3))
})

test('beyond slots and queue a request is refused as Triton refuses it', async () => {
  // The first is held until the third was turned away.
  const { client, server, post } = await start({ slots: 1, queueMax: 1 }, { mode: 'stall', afterTokens: 0 })
  const first = [unary(client, ask('1', 1)), unary(client, ask('2', 1))]
  await expect.poll(() => server.engine.counts()).toMatchObject({ running: 1, queued: 1 })
  expect(await unary(client, ask('3', 1))).toMatchObject({ code: status.UNAVAILABLE, details: 'Exceeds maximum queue size' })
  await post('/sim/behave', { mode: 'normal' })
  expect((await Promise.all(first)).map((one) => textIn(one as ModelInferResponse))).toEqual([textOf(1), textOf(1)])
})

test('a cancelled stream frees its slot at once and is counted', async () => {
  const { client, server } = await start({ slots: 1, token: millis(1_000) })
  const stream = client.modelStreamInfer()
  stream.on('error', () => {})
  stream.write(ask('long', 1_000))
  await once(stream, 'data')
  const before = Date.now()
  stream.cancel()
  await expect.poll(() => server.engine.counts(), { interval: 5 }).toMatchObject({ running: 0, cancelled: 1 })
  // By the clock on the wall, which may be set meanwhile.
  expect(Math.abs((server.engine.counts().lastCancelAt ?? 0) - before)).toBeLessThan(60_000)
})

test('the server ends a call whose deadline passed', async () => {
  const { client, server } = await start({}, { mode: 'stall', afterTokens: 0 })
  const error = await new Promise<ServiceError | null>((resolve) =>
    client.modelInfer(ask('late', 1), new Metadata(), { deadline: Date.now() + 1_500 }, resolve),
  )
  expect(error?.code).toBe(status.DEADLINE_EXCEEDED)
  await expect.poll(() => server.engine.counts()).toMatchObject({ running: 0, cancelled: 1 })
})

test('gzip requests are read', async () => {
  const { server } = await start()
  const client = new GRPCInferenceServiceClient(server.listen, credentials.createInsecure(), { 'grpc.default_compression_algorithm': 2 })
  closers.push(() => client.close())
  expect(textIn((await unary(client, ask('z', 2))) as ModelInferResponse)).toBe(textOf(2))
})

test.each([
  ['reset', status.INTERNAL],
  ['drop', status.UNAVAILABLE],
] as const)('%s breaks a stream after its tokens, never as a clean end', async (mode, code) => {
  const { client, post } = await start()
  expect((await post('/sim/behave', { mode, afterTokens: 2 })).status).toBe(200)
  const stream = client.modelStreamInfer()
  stream.write(ask('s', 5))
  const end = await drain(stream)
  expect(end.code).toBe(code)
  expect(end.answers.length).toBeLessThanOrEqual(2)
})

test('a stalled stream stays open and silent, and goes on when the server behaves again', async () => {
  const { client, post, server } = await start()
  await post('/sim/behave', { mode: 'stall', afterTokens: 2 })
  const stream = client.modelStreamInfer()
  stream.write(ask('s', 5))
  stream.end()
  const end = drain(stream)
  await expect.poll(() => server.engine.counts().tokens).toBe(2)
  expect(server.engine.counts().running).toBe(1)
  await post('/sim/behave', { mode: 'normal' })
  expect((await end).answers).toHaveLength(5)
})

test('refuse resets new streams so that they may be tried elsewhere; queue-full refuses with UNAVAILABLE', async () => {
  const { client, post } = await start()
  await post('/sim/behave', { mode: 'refuse' })
  expect(await unary(client, ask('1', 1))).toMatchObject({ code: status.UNAVAILABLE })
  await post('/sim/behave', { mode: 'queue-full' })
  expect(await unary(client, ask('2', 1))).toMatchObject({ code: status.UNAVAILABLE, details: 'Exceeds maximum queue size' })
})

test('health, metrics and repository speak as Triton does', async () => {
  const { client, post, page, server } = await start()
  await unary(client, ask('1', 2))
  const ready = async (): Promise<number> => (await fetch(`http://${server.http}/v2/health/ready`)).status
  expect(await ready()).toBe(200)
  await post('/sim/behave', { mode: 'not-ready' })
  expect([await ready(), (await fetch(`http://${server.http}/v2/health/live`)).status]).toEqual([400, 200])
  await post('/sim/queue', { depth: 37 })
  const metrics = await page('/metrics')
  expect(metrics).toContain('nv_inference_pending_request_count{model="sim_llm",version="1"} 37\n')
  expect(metrics).toContain('nv_inference_request_success{model="sim_llm",version="1"} 1\n')
  expect(metrics).toContain('nv_inference_request_failure{model="sim_llm",reason="REJECTED",version="1"} 0\n')
  expect(await (await post('/v2/repository/index', {})).json()).toMatchObject([{ name: 'sim_llm', state: 'UNAVAILABLE' }])
  expect(JSON.parse(await page('/sim/stats'))).toMatchObject({ queued: 37, started: 1, finished: 1 })
})

test('a bad switch is refused with its cure, and changes nothing', async () => {
  const { post, server } = await start()
  for (const body of [{ mode: 'nonsense' }, { mode: 'slow', facter: 2 }, { depth: 1 }])
    expect((await post('/sim/behave', body)).status).toBe(400)
  expect(server.engine.behaviour.mode).toBe('normal')
})

test('it says what it is: metadata, config, index and statistics', async () => {
  const { client } = await start()
  await unary(client, ask('1', 2))
  const got = <T>(call: (done: (error: ServiceError | null, response: T) => void) => unknown): Promise<T> =>
    new Promise((resolve, reject) => void call((error, response) => (error === null ? resolve(response) : reject(error))))
  const name = 'sim_llm'
  expect(await got((done) => client.serverMetadata({}, done))).toMatchObject({
    name: 'millrace-sim',
    extensions: expect.arrayContaining(['simulated']),
  })
  expect(await got((done) => client.modelConfig({ name, version: '' }, done))).toMatchObject({
    config: { modelTransactionPolicy: { decoupled: true } },
  })
  expect(await got((done) => client.modelReady({ name, version: '' }, done))).toEqual({ ready: true })
  expect(await got((done) => client.repositoryIndex({ repositoryName: '', ready: false }, done))).toMatchObject({
    models: [{ name, state: 'READY' }],
  })
  const { modelStats } = await got<ModelStatisticsResponse>((done) => client.modelStatistics({ name, version: '' }, done))
  expect(modelStats[0]).toMatchObject({ name, inferenceCount: 1n, executionCount: 1n })
  await expect(got((done) => client.modelMetadata({ name: 'nobody', version: '' }, done))).rejects.toMatchObject({ code: status.NOT_FOUND })
})

test('a reader that does not read pauses its own job, and gets everything once it reads', async () => {
  const { client, server } = await start({ prefill: millis(0), token: millis(0) })
  const stream = client.modelStreamInfer()
  stream.pause()
  stream.write(ask('slow', 20_000))
  stream.end()
  await expect.poll(() => server.engine.counts().tokens).toBeGreaterThan(500)
  // On a connection of its own: grpc-js lets an unread stream use up the connection's window.
  const neighbour = new GRPCInferenceServiceClient(server.listen, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 })
  closers.push(() => neighbour.close())
  const other = await unary(neighbour, ask('other', 3))
  expect(textIn(other as ModelInferResponse)).toBe(textOf(3))
  expect(server.engine.counts()).toMatchObject({ running: 1, finished: 1 })
  stream.resume()
  const { answers, code } = await drain(stream)
  expect([answers.length, code]).toEqual([20_000, status.OK])
})
