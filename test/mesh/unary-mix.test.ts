/** Requests of every kind and size through one proxy and two endpoints of each model: what a client gets is what the server would have said to it. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { ask, connectGrpc, type GrpcSession } from '../tools/grpc-session.ts'
import { startProxy, type TestProxy } from '../tools/proxy.ts'
import { drawMix, KINDS, type MixedRequest, type Outcome, playMix } from '../tools/request-mix.ts'
import { expectSettled } from '../tools/settled.ts'
import { MODEL_INFER, startSim, type TestSim, tokenRequest } from '../tools/sim-server.ts'
import { payloadOf, sha256, startTestService, type TestService, UNARY } from '../tools/test-service.ts'

const MODEL = 'pair'
const SIM = ['--models', MODEL, '--slots', '64', '--queue-max', '1000', '--prefill-ms', '2', '--token-ms', '0.1']

let sims: TestSim[] = []
let services: TestService[] = []
let proxy: TestProxy
const opened: GrpcSession[] = []

beforeAll(async () => {
  sims = await Promise.all([startSim(...SIM), startSim(...SIM)])
  services = await Promise.all([startTestService(), startTestService()])
  proxy = await startProxy([
    ...sims.map(({ listen }, at) => ({ id: `gpu-${at}/sim`, address: listen, models: [MODEL] })),
    ...services.map(({ address }, at) => ({ id: `gpu-${at}/service`, address, models: ['alone'] })),
  ])
})
afterEach(async () => {
  try {
    await expectSettled(proxy)
  } finally {
    for (const session of opened.splice(0)) session.destroy()
  }
})
afterAll(async () => {
  await proxy?.stop()
  for (const service of services) service.stop()
  await Promise.all(sims.map((sim) => sim.stop()))
})

async function connect(): Promise<GrpcSession> {
  const session = await connectGrpc(proxy.listen)
  opened.push(session)
  return session
}

const SEED = 20_261
const REQUESTS = 2_000
const AT_ONCE = 100
const CONNECTIONS = 4

/** What the first of the two servers does to a batch; the second always serves. What it refuses is served by the second. */
const MOODS = ['normal', 'normal', 'queue-full', 'normal', 'normal', 'refuse', 'normal', 'normal', 'reset', 'normal'] as const

/** Of a gRPC message. */
const PREFIX = 5

/** Undefined when the answer is right. */
function complaint(request: MixedRequest, got: Outcome, direct: Outcome, mood: (typeof MOODS)[number]): string | undefined {
  const { kind, giveUp, refusedWith, path } = request
  const said = `${kind} of ${request.message.length} bytes to ${path}${giveUp === undefined ? '' : `, given up ${giveUp}`}: ${got.status} ${got.details}`
  if (refusedWith !== undefined) return got.status === refusedWith && got.messages.length === 0 ? undefined : said
  // Larger than what is kept for a second server: the refusal of the first is its answer.
  const tooLarge = request.message.length + PREFIX > limits.retryCopyMax
  if (mood !== 'normal' && tooLarge && got.status === 14 && got.messages.length === 0) return undefined
  if (kind !== 'cancelled')
    return JSON.stringify(got) === JSON.stringify(direct) ? undefined : `${said}; the server itself: ${direct.status} ${direct.details}`
  const known = got.messages.every((message, at) => message === direct.messages[at])
  // It may have been answered before its cancel came through; else nothing ever says that it ended well.
  const whole = got.messages.length === direct.messages.length
  return known && (got.status !== 0 || whole) ? undefined : said
}

test(`${REQUESTS} mixed requests get what the server itself answers, whatever the first server refuses`, async () => {
  const mix = drawMix(REQUESTS, MODEL, SEED)
  for (const kind of KINDS) expect(mix.filter((request) => request.kind === kind).length, kind).toBeGreaterThan(REQUESTS / 50)
  const [first, second] = sims as [TestSim, TestSim]
  const [service] = services as [TestService]
  const complaints: string[] = []
  for (let at = 0; at < mix.length; at += AT_ONCE) {
    const batch = mix.slice(at, at + AT_ONCE)
    const whole = batch.map(({ giveUp: _, ...request }) => request)
    const direct = await playMix(whole, ({ kind }) => (kind === 'echo' ? service.address : second.listen), CONNECTIONS)
    const mood = MOODS[(at / AT_ONCE) % MOODS.length] ?? 'normal'
    await first.behave(mood, 0)
    const got = await playMix(batch, () => proxy.listen, CONNECTIONS)
    for (const [index, request] of batch.entries()) {
      const wrong = complaint(request, got[index] as Outcome, direct[index] as Outcome, mood)
      if (wrong !== undefined) complaints.push(`${at + index} (${mood}): ${wrong}`)
    }
  }
  expect(complaints).toEqual([])
  const retries = await proxy.metric('millrace_retries_total')
  console.info(`${REQUESTS} mixed requests, seed ${SEED}: ${retries} sent to a second server`)
  expect(retries).toBeGreaterThan(0)
  for (const sim of sims) await expect.poll(() => sim.stats()).toMatchObject({ running: 0, queued: 0 })
})

test('5 MB go through whole each way, by a client with the windows that every client begins with', async () => {
  const session = await connect()
  const payload = payloadOf(5, 5_000_000)
  const { status, messages } = await ask(session, UNARY, payload)
  expect([status, messages.map(sha256)]).toEqual([0, [sha256(payload)]])
})

test('5 MB in front of a model are routed by their first bytes', async () => {
  const session = await connect()
  const request = tokenRequest({ model: MODEL, id: 'large', tokens: 3, prompt: payloadOf(6, 5_000_000) })
  const { status, headers, messages } = await ask(session, MODEL_INFER, request)
  expect([status, messages.length]).toEqual([0, 1])
  expect(headers['x-millrace-endpoint']).toMatch(/^gpu-[01]\/sim$/)
})

test('50 of 1 MB at once, each way, on two connections, come through whole', async () => {
  const sessions = [await connect(), await connect()]
  const payloads = Array.from({ length: 50 }, (_, number) => payloadOf(number, 1_000_000))
  const answers = await Promise.all(payloads.map((payload, at) => ask(sessions[at % 2] as GrpcSession, UNARY, payload)))
  for (const [at, { status, messages }] of answers.entries())
    expect([status, messages.map(sha256)], `request ${at}`).toEqual([0, [sha256(payloads[at] as Buffer)]])
})
