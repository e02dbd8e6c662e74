/** What belongs together, through two proxies that know nothing of each other: sessions by key and pinned, prompts, adapters. A server is killed and comes back. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePorts } from '../tools/free-ports.ts'
import { ask, connectGrpc, type GrpcSession } from '../tools/grpc-session.ts'
import { startProxyWith, staticSnapshot, type TestProxy } from '../tools/proxy.ts'
import { expectSettled } from '../tools/settled.ts'
import { MODEL_INFER, startSim, type TestSim, tokenRequest } from '../tools/sim-server.ts'

const MODELS = ['by_key', 'pinned']
const SERVED = [...MODELS, 'by_prompt', 'base', 'adapter']
const FREE = '127.0.0.1:0'
const SIM = ['--models', SERVED.join(','), '--slots', '64', '--prefill-ms', '1', '--token-ms', '0.1']
const SESSIONS = Array.from({ length: 40 }, (_, at) => `session-${at}`)
const BACK_DEADLINE_MS = 30_000

let sims: TestSim[] = []
let proxies: TestProxy[] = []
let clients: GrpcSession[] = []

beforeAll(async () => {
  // The first comes back where it was: on a port that the kernel gives to nobody meanwhile.
  const [port = 0] = await freePorts(1)
  sims = await Promise.all([`127.0.0.1:${port}`, FREE, FREE].map((listen) => startSim('--listen', listen, ...SIM)))
  const endpoints = sims.map(({ listen }, at) => ({
    id: `gpu-${at}/sim`,
    address: listen,
    models: SERVED.filter((model) => model !== 'adapter'),
  }))
  const rows = [
    { name: 'by_key', policy: 'RING_HASH', hashOn: { header: 'x-user' } },
    { name: 'pinned', pin: true },
    { name: 'by_prompt', policy: 'PREFIX', prompt: { input: 'text_input' } },
    { name: 'adapter', adapterOf: 'base' },
  ]
  // Each learnt of them in another order.
  const pictures = [endpoints, endpoints.toReversed()].map((all) => ({ ...staticSnapshot(all), models: rows }))
  proxies = await Promise.all(pictures.map((picture) => startProxyWith(picture, '--workers', '1')))
  clients = await Promise.all(proxies.map(({ listen }) => connectGrpc(listen)))
})
afterAll(async () => {
  for (const client of clients) client.destroy()
  for (const proxy of proxies) await proxy.stop()
  await Promise.all(sims.map((sim) => sim.stop()))
})

async function serverOf(client: GrpcSession, model: string, session: string): Promise<string> {
  const headers = model === 'by_key' ? { 'x-user': session } : { 'x-millrace-session': session }
  const answer = await ask(client, MODEL_INFER, tokenRequest({ model, tokens: 1 }), headers)
  expect([answer.status, answer.details]).toEqual([0, ''])
  return String(answer.headers['x-millrace-endpoint'])
}

const serversOf = async (client: GrpcSession, model: string): Promise<string[]> => {
  const servers: string[] = []
  for (const session of SESSIONS) servers.push(await serverOf(client, model, session))
  return servers
}

const client = (at: number): GrpcSession => clients[at] as GrpcSession

test('a session meets the same server through either proxy; when that dies it moves, and what is documented happens when it comes back', async () => {
  const before = await Promise.all(MODELS.map((model) => serversOf(client(0), model)))
  for (const [at, model] of MODELS.entries()) {
    expect(await serversOf(client(1), model)).toEqual(before[at])
    expect(new Set(before[at]).size).toBe(3)
  }

  const dead = sims[0] as TestSim
  const { listen } = dead
  dead.part.kill()
  const during = await Promise.all(MODELS.map((model) => serversOf(client(0), model)))
  for (const [at, servers] of during.entries())
    for (const [session, server] of servers.entries()) {
      const was = before[at]?.[session]
      if (was === 'gpu-0/sim') expect(server).not.toBe(was)
      else expect(server).toBe(was)
    }

  await dead.part.exited
  sims[0] = await startSim('--listen', listen, ...SIM)
  // By key they return with it. A pin stays where it was served in between; the proxy that saw nothing of it has them where they were.
  await expect.poll(() => serversOf(client(0), 'by_key'), { timeout: BACK_DEADLINE_MS }).toEqual(before[0])
  expect(await serversOf(client(0), 'pinned')).toEqual(during[1])
  for (const proxy of proxies) await expectSettled(proxy)
})

test('a prompt goes where its beginning went, and what became of prompts is counted', async () => {
  const system = 'You are a miller. '.repeat(40)
  const ways = Array.from({ length: 12 }, (_, at) => `${at}: ${system}`)
  const first: string[] = []
  for (const way of ways) first.push(await serverOfPrompt(client(0), way))
  expect(new Set(first).size).toBeGreaterThan(1)
  for (const [at, way] of ways.entries()) expect(await serverOfPrompt(client(0), `${way}And ${at}?`)).toBe(first[at])
  const proxy = proxies[0] as TestProxy
  await expect.poll(() => proxy.metric('millrace_prompts_cold_total'), { timeout: BACK_DEADLINE_MS }).toBe(ways.length)
  await expect.poll(() => proxy.metric('millrace_prompts_warm_total'), { timeout: BACK_DEADLINE_MS }).toBe(ways.length)
  for (const one of proxies) await expectSettled(one)
})

async function serverOfPrompt(from: GrpcSession, prompt: string): Promise<string> {
  const answer = await ask(from, MODEL_INFER, tokenRequest({ model: 'by_prompt', tokens: 1, prompt }))
  expect([answer.status, answer.details]).toEqual([0, ''])
  return String(answer.headers['x-millrace-endpoint'])
}

test('an adapter that no endpoint names has one home for both proxies, among the endpoints of its base', async () => {
  const homes = new Set<string>()
  for (const from of clients)
    for (let again = 0; again < 5; again++) {
      const answer = await ask(from, MODEL_INFER, tokenRequest({ model: 'adapter', tokens: 1 }))
      expect([answer.status, answer.details]).toEqual([0, ''])
      homes.add(String(answer.headers['x-millrace-endpoint']))
    }
  expect(homes.size).toBe(1)
})
