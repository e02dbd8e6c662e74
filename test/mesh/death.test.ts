/** Deaths by kill -9, under a steady load: of a model server, of a proxy's worker, of the control plane and NATS together. Times are measured and told. */
import { setTimeout as wait } from 'node:timers/promises'
import { status } from '@grpc/grpc-js'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { Fleet, type FleetProxy, tell, until } from '../tools/fleet.ts'
import { Load, type Sent, shareOfPeers } from '../tools/load.ts'

const PER_SECOND = 200
const CONTROL_DEAD_MS = process.env.MILLRACE_FULL === '1' ? 60_000 : 10_000
const DEADLINE_MS = 60_000
/** Dozens of requests: nobody is asked by chance so long after. */
const QUIET_MS = 3_000

let fleet: Fleet

beforeAll(async () => {
  // So slow that a server dies with requests on it: of twenty that run at any time none is on it once in thousands of runs.
  fleet = await Fleet.start({ nodes: 3, slots: 48, prefillMs: 100, tokenMs: 5 })
})
afterAll(() => fleet?.stop())

function startLoad(proxy: FleetProxy, connections = 4): Load {
  const load = new Load({ to: proxy.listen, perSecond: PER_SECOND, connections })
  onTestFinished(() => load.stop())
  return load
}

/** So many more requests went well, and none failed since `from`. */
const goesWell = (load: Load, from: number, count: number): Promise<void> =>
  until('requests go well', () => load.ended(from).length >= count && load.failed(from).length === 0, DEADLINE_MS)

/** Whatever failed before. */
const goesWellAgain = (load: Load): Promise<void> =>
  until(
    'all goes well for a second',
    () => {
      const from = performance.now() - 1_000
      return load.ended(from).length > PER_SECOND / 2 && load.failed(from).length === 0
    },
    DEADLINE_MS,
  )

const lost = (load: Load): readonly Sent[] => load.failed().filter((one) => !one.headersCame)

const ledgerIsEmpty = (proxy: FleetProxy): Promise<void> =>
  until(
    'the ledger is empty',
    async () => (await proxy.metric('millrace_ledger_open_attempts')) + (await proxy.metric('millrace_ledger_burning')) === 0,
    DEADLINE_MS,
  )

test('no request is lost with a model server that is killed, and none goes to it any more until it is back', async () => {
  const { proxy } = fleet
  const dead = fleet.node(1)
  const load = startLoad(proxy)
  await goesWell(load, performance.now(), PER_SECOND)
  const attempts = (): Promise<number> => proxy.metric('millrace_endpoint_attempts_total', `endpoint="${dead.endpoint}"`)
  const retriesBefore = await proxy.metric('millrace_retries_total')

  dead.server.kill()
  const killedAt = performance.now()
  let lastAt = killedAt
  let seen = await attempts()
  const quiet = async (): Promise<boolean> => {
    const now = await attempts()
    if (now !== seen) lastAt = performance.now()
    seen = now
    return performance.now() > lastAt + QUIET_MS
  }
  await until('nobody asks the dead server any more', quiet, DEADLINE_MS)
  const retries = (await proxy.metric('millrace_retries_total')) - retriesBefore
  tell(`attempts at the dead server ended ${Math.round(lastAt - killedAt)} ms after kill -9 (wanted: 1000); ${retries} retries`)
  expect(retries).toBeGreaterThan(0)
  await goesWell(load, performance.now(), PER_SECOND)

  await dead.restartServer()
  const backAt = performance.now()
  await until('the server serves again', () => load.served(backAt).has(dead.endpoint), DEADLINE_MS)
  tell(`it serves again ${Math.round(performance.now() - backAt)} ms after it was back`)
  await load.stop()
  tell(`${load.sent.length} requests, ${load.failed().length} broken after their response headers, ${lost(load).length} lost`)
  expect(lost(load)).toEqual([])
  await ledgerIsEmpty(proxy)
})

test('without control plane and NATS nothing fails, and once they are back steering works again', async () => {
  const load = startLoad(fleet.proxy)
  await goesWell(load, performance.now(), PER_SECOND)
  await fleet.killControl()
  await wait(CONTROL_DEAD_MS)
  expect(load.failed()).toEqual([])
  expect([...load.served(performance.now() - 2_000).keys()].sort()).toEqual(fleet.endpoints)

  const returnedAt = performance.now()
  await fleet.reviveControl()
  tell(
    `${Math.round(CONTROL_DEAD_MS / 1000)} s without control plane and NATS; all in touch ${Math.round(performance.now() - returnedAt)} ms later`,
  )
  const deep = fleet.node(0)
  const changedAt = await deep.setQueue(200)
  const steered = (): boolean =>
    load.heldAfter(changedAt, 1_000, (served) => shareOfPeers(served, deep.endpoint, fleet.endpoints) < 1 / 3) !== undefined
  await until('the deep queue is avoided', steered, DEADLINE_MS)
  await deep.setQueue(0)
  await load.stop()
  tell(`${load.sent.length} requests, ${load.failed().length} failed`)
  expect(load.failed()).toEqual([])
  await ledgerIsEmpty(fleet.proxy)
})

test('a killed worker takes its own connections with it and is replaced', async () => {
  const { proxy } = fleet
  const load = startLoad(proxy)
  await goesWell(load, performance.now(), PER_SECOND)
  const [worker = 0] = proxy.workers()
  process.kill(worker, 'SIGKILL')
  const killedAt = performance.now()
  await until('a connection breaks', () => load.failed().length > 0, DEADLINE_MS)
  await goesWellAgain(load)
  const lastFailure = load.failed().at(-1)
  tell(`served again ${Math.round((lastFailure?.startedAt ?? killedAt) - killedAt)} ms after kill -9 of the only worker`)
  await load.stop()
  expect(new Set(load.failed().map(({ end }) => end?.code))).toEqual(new Set([status.UNAVAILABLE]))
  expect(proxy.workers()).toHaveLength(1)
  expect(proxy.workers()).not.toContain(worker)
  expect(await proxy.metric('millrace_worker_crashes_total')).toBe(1)
  await ledgerIsEmpty(proxy)
})

test('two workers share the connections, their metrics add up, and one that dies takes no connection of the other', async () => {
  const proxy = await fleet.startProxy('--workers', '2')
  const connections = [0, 1, 2, 3]
  const load = startLoad(proxy, connections.length)
  await goesWell(load, performance.now(), PER_SECOND)
  await until('four connections', async () => (await proxy.metric('millrace_client_connections')) === connections.length, DEADLINE_MS)
  expect(proxy.workers()).toHaveLength(2)
  expect(load.failed()).toEqual([])

  const countedBefore = await proxy.metric('millrace_requests_total')
  process.kill(proxy.workers()[0] ?? 0, 'SIGKILL')
  await until('connections break', () => load.failed().length > 0, DEADLINE_MS)
  const replaced = async (): Promise<boolean> =>
    (await proxy.metric('millrace_worker_crashes_total')) === 1 && (await proxy.metric('millrace_workers', 'state="serving"')) === 2
  await until('a new worker', replaced, DEADLINE_MS)
  expect(await proxy.metric('millrace_requests_total'), 'a counter never falls').toBeGreaterThanOrEqual(countedBefore)
  await goesWellAgain(load)
  const broken = new Set(load.failed().map(({ connection }) => connection))
  expect(broken.size, 'each worker had two of the four').toBe(2)
  await load.stop()

  const fresh = await fleet.startProxy('--workers', '2')
  const counted = startLoad(fresh, connections.length)
  await goesWell(counted, performance.now(), 2 * PER_SECOND)
  await counted.stop()
  await ledgerIsEmpty(fresh)
  const served = [...counted.served().values()].reduce((sum, count) => sum + count, 0)
  expect(served).toBe(counted.sent.length)
  // What workers report reaches the page a moment later.
  await expect.poll(() => fresh.metric('millrace_requests_total')).toBe(served)
  await expect.poll(() => fresh.metric('millrace_responses_total', 'status="0"')).toBe(served)
  await expect.poll(() => fresh.metric('millrace_endpoint_attempts_total', 'outcome="success"')).toBe(served)
  for (const [endpoint, count] of counted.served())
    await expect.poll(() => fresh.metric('millrace_endpoint_attempts_total', `endpoint="${endpoint}"`)).toBe(count)
})
