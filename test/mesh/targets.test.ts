/** Models that go by other names, are shared out, stand in for one another and are shadowed, with real processes on every side. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { status } from '@grpc/grpc-js'
import { afterEach, expect, test } from 'vitest'
import type { Model } from '../../core/mesh-snapshot.ts'
import { ModelInferResponse } from '../../proto/gen/inference/grpc_service.ts'
import { tell, until } from '../tools/fleet.ts'
import { type Answer, ask, connectGrpc, type GrpcSession } from '../tools/grpc-session.ts'
import { meshEndpoint, startMeshSource } from '../tools/mesh-source.ts'
import { readMetric, startProxyWith, staticSnapshot, type TestProxy } from '../tools/proxy.ts'
import { expectSettled } from '../tools/settled.ts'
import { isFinal, MODEL_INFER, MODEL_STREAM_INFER, startSim, type TestSim, tokenRequest } from '../tools/sim-server.ts'
import { spawnPart } from '../tools/spawn-part.ts'

const FREE = '127.0.0.1:0'
const DEADLINE_MS = 30_000
const AT_ONCE = 16

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function sim(models: string, ...more: readonly string[]): Promise<TestSim> {
  const quick = ['--slots', '64', '--queue-max', '1000', '--prefill-ms', '1', '--token-ms', '1']
  const started = await startSim('--listen', FREE, '--http-listen', FREE, '--models', models, ...quick, ...more)
  closers.push(() => started.stop())
  return started
}

/** Each server under the names of its models. */
async function proxyOf(rows: readonly Partial<Model>[], servers: Readonly<Record<string, TestSim>>): Promise<TestProxy> {
  const endpoints = Object.entries(servers).map(([model, { listen }]) => ({ id: `${model}/sim`, address: listen, models: [model] }))
  const proxy = await startProxyWith({ ...staticSnapshot(endpoints), models: rows })
  closers.push(() => proxy.stop())
  return proxy
}

async function session(to: string): Promise<GrpcSession> {
  const opened = await connectGrpc(to)
  closers.push(() => opened.destroy())
  return opened
}

const infer = (on: GrpcSession, model: string): Promise<Answer> => ask(on, MODEL_INFER, tokenRequest({ model, tokens: 2 }))

/** Some at a time. */
async function many(on: GrpcSession, model: string, count: number): Promise<readonly Answer[]> {
  const answers: Answer[] = []
  const next = async (): Promise<void> => {
    while (answers.length < count) {
      const place = answers.push(undefined as never) - 1
      answers[place] = await infer(on, model)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, next))
  return answers
}

const modelIn = ({ messages: [message], details }: Answer): string =>
  message === undefined ? details : ModelInferResponse.decode(message).modelName

const finished = async (of: TestSim): Promise<number> => (await of.stats()).finished

test('a split by weight reaches each model under its own name, whatever name the client used', async () => {
  const [llm, next] = [await sim('llm'), await sim('next')]
  const split = [{ weight: 90 }, { model: 'next', weight: 10 }]
  const proxy = await proxyOf([{ name: 'llm', aliases: ['chat'], split }, { name: 'next' }], { llm, next })
  const on = await session(proxy.listen)
  const count = 1_000
  const answers = [...(await many(on, 'chat', count / 2)), ...(await many(on, 'llm', count / 2))]
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([status.OK]))
  const toNext = answers.filter((one) => modelIn(one) === 'next').length
  tell(`${toNext} of ${count} went to the part of weight 10 in 100`)
  expect(new Set(answers.map(modelIn))).toEqual(new Set(['llm', 'next']))
  expect(answers.every((one) => one.headers['x-millrace-model'] === modelIn(one))).toBe(true)
  // Six standard deviations: a fair draw strays further once in 500 million runs.
  expect(Math.abs(toNext - count / 10)).toBeLessThan(6 * Math.sqrt(count * 0.1 * 0.9))
  expect([await finished(llm), await finished(next)]).toEqual([count - toNext, toNext])
  await expectSettled(proxy)
})

test('a token stream by an alias carries each message under the real name', async () => {
  const llm = await sim('llm')
  const proxy = await proxyOf([{ name: 'llm', aliases: ['chat'] }], { llm })
  const on = await session(proxy.listen)
  const finals: Buffer[] = []
  const stream = on.open(MODEL_STREAM_INFER, { onMessage: (one) => void (isFinal(one) && finals.push(one)) })
  for (const [id, model] of ['chat', 'llm', 'chat'].entries()) stream.send(tokenRequest({ model, id: String(id), tokens: 20 }))
  await until('all are answered', () => finals.length === 3, DEADLINE_MS)
  stream.halfClose()
  expect((await stream.ended).status).toBe(status.OK)
  expect(await finished(llm)).toBe(3)
  await expectSettled(proxy)
})

test('when the only endpoint of a model is killed its fall-back answers, and no request is lost', async () => {
  const [llm, small] = [await sim('llm'), await sim('small')]
  const proxy = await proxyOf([{ name: 'llm', fallbacks: ['small'] }, { name: 'small' }], { llm, small })
  const on = await session(proxy.listen)
  const answers = [...(await many(on, 'llm', 50))]
  expect(new Set(answers.map(modelIn))).toEqual(new Set(['llm']))
  const during = many(on, 'llm', 400)
  llm.part.kill()
  const after = await during
  expect(after.filter((one) => one.status !== status.OK).map(({ details }) => details)).toEqual([])
  expect(new Set((await many(on, 'llm', 50)).map(modelIn))).toEqual(new Set(['small']))
  await expect.poll(() => proxy.metric('millrace_aimed_total', 'why="fallback"')).toBeGreaterThan(0)
  await expectSettled(proxy)
})

const SHADOWED = [{ name: 'llm', shadow: { model: 'next', share: 0.5 } }, { name: 'next' }]
const shadows = (of: TestProxy, result: string): Promise<number> => of.metric('millrace_shadows_total', `result="${result}"`)

test('a shadow sees its share, under its own name, and the client hears nothing of it', async () => {
  const [llm, next] = [await sim('llm'), await sim('next')]
  const proxy = await proxyOf(SHADOWED, { llm, next })
  const on = await session(proxy.listen)
  const count = 400
  const answers = await many(on, 'llm', count)
  expect(new Set(answers.map(modelIn))).toEqual(new Set(['llm']))
  // Counted at a request's end: by then its shadow is among the open ones.
  await expect.poll(() => proxy.metric('millrace_messages_out_total'), { timeout: DEADLINE_MS }).toBe(count)
  await expect.poll(() => proxy.metric('millrace_requests_total')).toBe(count)
  await until('all shadows have ended', async () => (await proxy.metric('millrace_shadows_open')) === 0, DEADLINE_MS)
  const seen = await finished(next)
  tell(`${seen} of ${count} were shadowed at a share of a half`)
  expect(Math.abs(seen - count / 2)).toBeLessThan(6 * Math.sqrt(count / 4))
  await expect.poll(() => shadows(proxy, 'ok'), { timeout: DEADLINE_MS }).toBe(seen)
  expect(await finished(llm)).toBe(count)
  await expectSettled(proxy)
})

test.each(['stall', 'refuse', 'queue-full', 'killed'] as const)(
  'clients are unharmed by a shadow that is in trouble: %s',
  async (trouble) => {
    const [llm, next] = [await sim('llm'), await sim('next')]
    const proxy = await proxyOf([{ ...SHADOWED[0], shadow: { model: 'next', share: 1 } }, { name: 'next' }], { llm, next })
    const on = await session(proxy.listen)
    if (trouble === 'killed') next.part.kill()
    else await next.behave(trouble, 0)
    const answers = await many(on, 'llm', 400)
    expect(answers.filter((one) => one.status !== status.OK)).toEqual([])
    await expect.poll(() => proxy.metric('millrace_messages_out_total'), { timeout: DEADLINE_MS }).toBe(400)
    expect(await proxy.metric('millrace_retries_total')).toBe(0)
    expect(await proxy.metric('millrace_refusals_total', 'reason=').catch(() => 0)).toBe(0)
    if (trouble === 'stall') {
      expect(await proxy.metric('millrace_shadows_open'), 'no more than its bound').toBeLessThanOrEqual(256)
      return expect.poll(() => shadows(proxy, 'skipped')).toBeGreaterThan(0)
    }
    await until('all shadows have ended', async () => (await proxy.metric('millrace_shadows_open')) === 0, DEADLINE_MS)
    await expectSettled(proxy)
  },
)

test('a proxy of a fleet takes rows from --models, hears of changes, and keeps the last good ones', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-models-'))
  closers.push(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'models.yaml')
  const say = (alias: string): void => {
    writeFileSync(`${file}.next`, `models:\n  - { name: llm, aliases: [${alias}] }\n`)
    renameSync(`${file}.next`, file)
  }
  say('chat')
  const llm = await sim('llm')
  const source = await startMeshSource()
  closers.push(() => source.stop())
  const argv = ['--listen', FREE, '--metrics-listen', FREE, '--control-plane', source.address, '--models', file]
  const proxy = await spawnPart('data-plane', argv)
  closers.push(() => proxy.stop())
  await until('the proxy is there', () => source.hellos.length === 1, DEADLINE_MS)
  await source.push([meshEndpoint('gpu-1/sim', llm.listen, { models: ['llm'] })])
  const on = await session(proxy.fields.listen ?? '')
  const answered = async (model: string): Promise<string> => modelIn(await infer(on, model))
  // The primary has taken it; its workers hear of it next.
  await expect.poll(() => answered('chat')).toBe('llm')
  say('talk')
  await expect.poll(() => answered('talk'), { timeout: DEADLINE_MS }).toBe('llm')
  expect(await answered('chat')).toContain('no endpoint serves model "chat"')
  say('llm')
  const complaint = await proxy.waitForLine(/models\.refused/, DEADLINE_MS)
  expect(JSON.parse(complaint).complaint).toContain('models.yaml:2: models[0].aliases[0]: "llm" is the name of a row')
  await source.push([meshEndpoint('gpu-1/sim', llm.listen, { models: ['llm'], weight: 50 })])
  expect(await answered('talk')).toBe('llm')
  expect(await readMetric(`http://${proxy.fields.metrics}/metrics`, 'millrace_static_reloads_refused_total')).toBe(1)
})
