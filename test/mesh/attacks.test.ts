/**
 * Attacks on the proxy's listener by raw frames, one after the other, while a neighbour on a connection of its own sends requests. Each attack is ended by
 * its guard; the neighbour loses nothing; memory stays. How much slower the neighbour's answers became is measured and printed, not asserted: against
 * quiet, and against the same attack on another proxy of this machine, which takes the same share of its cores and nothing else.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Order, Outcome } from '../tools/attacker.ts'
import { ATTACKS, type Attack, SLOW_ATTACK } from '../tools/attacks.ts'
import { ask, connectGrpc, type GrpcSession } from '../tools/grpc-session.ts'
import { PAIR_SERVICE, readMetric, startProxy, type TestProxy } from '../tools/proxy.ts'
import { endsStream, framed, type RawServer, serveRaw } from '../tools/raw-h2.ts'

const GROWTH_MAX = 64 * 2 ** 20
const ATTACK_MS = 1_000
const QUIET_MS = 2_000
const PER_SECOND = 200
const MESSAGE = framed(Buffer.from('a question'))

let backend: RawServer
let attacker: Worker
let proxy: TestProxy
let beside: TestProxy
let session: GrpcSession
let processes: readonly number[]
let quietP99 = 0

beforeAll(async () => {
  backend = await serveRaw((peer) => {
    peer.onFrame = (frame) => {
      if (!endsStream(frame)) return
      peer.headers(frame.id, [
        [':status', '200'],
        ['content-type', 'application/grpc'],
      ])
      peer.data(frame.id, MESSAGE)
      peer.headers(frame.id, [['grpc-status', '0']], true)
      peer.windowUpdate(0, MESSAGE.length)
    }
  })
  attacker = new Worker(new URL('../tools/attacker.ts', import.meta.url))
  const { backend: attacked } = await reply<{ backend: string }>()
  const endpoints = [
    { id: 'quiet', address: backend.address, models: ['pair'] },
    { id: 'attacked', address: attacked, models: ['alone'] },
  ]
  ;[proxy, beside] = await Promise.all([startProxy(endpoints), startProxy(endpoints)])
  session = await connectGrpc(proxy.listen)
  processes = familyOf(proxy.part.pid)
  const quiet = await during(new Promise((resolve) => setTimeout(resolve, QUIET_MS)))
  quietP99 = p99(quiet.latencies)
})

afterAll(async () => {
  session?.destroy()
  await attacker?.terminate()
  await Promise.all([proxy?.stop(), beside?.stop()])
  await backend?.stop()
})

const reply = async <Reply>(): Promise<Reply> => (await once(attacker, 'message'))[0] as Reply

/** What the neighbour saw meanwhile. Open loop: requests go out on time, whatever comes back. */
async function during<Result>(work: Promise<Result>): Promise<{ result: Result; latencies: number[]; failures: string[] }> {
  const latencies: number[] = []
  const failures: string[] = []
  const open = new Set<Promise<void>>()
  const send = async (): Promise<void> => {
    const began = performance.now()
    const { status, details, messages } = await ask(session, `${PAIR_SERVICE}Call`, Buffer.from('a question'))
    latencies.push(performance.now() - began)
    if (status !== 0 || messages.length !== 1) failures.push(`${status} ${details}`)
  }
  const began = performance.now()
  let sent = 0
  const timer = setInterval(() => {
    for (const due = ((performance.now() - began) / 1_000) * PER_SECOND; sent < due; sent++) {
      const one = send()
      open.add(one)
      void one.finally(() => open.delete(one))
    }
  }, 5)
  try {
    const result = await work
    return { result, latencies, failures }
  } finally {
    clearInterval(timer)
    await Promise.all(open)
  }
}

function order(attack: Attack, { listen }: TestProxy, forMs: number): Promise<Outcome> {
  const outcome = reply<Outcome>()
  attacker.postMessage({ attack: attack.name, to: listen, forMs } satisfies Order)
  return outcome
}

async function mount(attack: Attack, forMs: number): Promise<void> {
  const url = `http://${proxy.part.fields.metrics}/metrics`
  const counts = (): Promise<number[]> =>
    Promise.all(attack.guards.map((guard) => readMetric(url, 'millrace_http2_guards_total', `guard="${guard}"`)))
  const before = await counts()
  const memoryBefore = memoryOf(processes)
  let memoryPeak = memoryBefore
  const watch = setInterval(() => {
    memoryPeak = Math.max(memoryPeak, memoryOf(processes))
  }, 50)
  const { result, latencies, failures } = await during(order(attack, proxy, forMs))
  clearInterval(watch)
  const grown = memoryPeak - memoryBefore
  const times = (other: number): string => (p99(latencies) / other).toFixed(1)
  // The slow one takes half a minute and hardly any of the cores.
  const elsewhere = forMs === 0 ? '' : `, ${times(p99((await during(order(attack, beside, forMs))).latencies))} × the same attack elsewhere`
  process.stdout.write(
    `${attack.name}: ${result.waves} waves; the neighbour's p99 ${p99(latencies).toFixed(2)} ms, ${times(quietP99)} × quiet${elsewhere}; memory ${(grown / 2 ** 20).toFixed(1)} MiB\n`,
  )
  // What the proxy counted says which guard did not fire, and what was held meanwhile.
  expect(result.complaint, result.complaint === undefined ? '' : await counted(url)).toBeUndefined()
  // Workers report now and then: who was ended knows it before the page does.
  const moved = async (): Promise<boolean> => (await counts()).every((count, at) => count > (before[at] ?? 0))
  await expect.poll(moved).toBe(true)
  expect(failures).toEqual([])
  expect(latencies.length).toBeGreaterThan(0)
  expect(grown).toBeLessThanOrEqual(GROWTH_MAX)
  expect(proxy.part.hasExited()).toBe(false)
}

test.each(ATTACKS)('$name: ended by its guard, at no cost to a neighbour', (attack) => mount(attack, ATTACK_MS))

test(`${SLOW_ATTACK.name}: ended in time, at no cost to a neighbour`, () => mount(SLOW_ATTACK, 0))

test('when all is over nothing is held', async () => {
  await expect.poll(() => proxy.metric('millrace_relay_buffered_bytes')).toBe(0)
  await expect.poll(() => proxy.metric('millrace_requests_open')).toBe(0)
  expect(await proxy.metric('millrace_worker_crashes_total')).toBe(0)
})

const counted = async (url: string): Promise<string> =>
  (await (await fetch(url)).text())
    .split('\n')
    .filter((line) => line.startsWith('millrace_') && !line.endsWith(' 0'))
    .join('\n')

const p99 = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? 0

/** The process and its children. */
function familyOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number)
  return [pid, ...children.flatMap(familyOf)]
}

const memoryOf = (pids: readonly number[]): number =>
  pids.reduce((sum, pid) => sum + Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1_024, 0)
