/** Steering through the whole mesh: what a node reports, and what an operator intends, is where new requests go. Times are measured and told. */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { Fleet, type FleetNode, type FleetProxy, tell, until } from '../tools/fleet.ts'
import { connectGrpc, type GrpcSession, type GrpcStream } from '../tools/grpc-session.ts'
import { Load, shareOfPeers } from '../tools/load.ts'
import { MODEL_STREAM_INFER, tokenRequest } from '../tools/sim-server.ts'

const PER_SECOND = 150
/** Long enough for two dozen requests to each node, so that chance makes no change of it, and short enough to date one by. */
const SPAN_MS = 500
const DEADLINE_MS = 60_000
const STREAM_TOKENS = 250
/** A share for every node, whatever chance does. */
const STREAMS_MAX = 60

let fleet: Fleet
let load: Load

beforeAll(async () => {
  fleet = await Fleet.start({ nodes: 3, slots: 16, prefillMs: 20, tokenMs: 10 })
  load = new Load({ to: fleet.proxy.listen, perSecond: PER_SECOND })
})
afterAll(async () => {
  await load?.stop()
  await fleet?.stop()
})

type Served = ReadonlyMap<string, number>
const share = (served: Served, node: FleetNode): number => shareOfPeers(served, node.endpoint, fleet.endpoints)

/** Milliseconds from `since` to the first span in which it holds. */
async function measure(from: Load, since: number, holds: (served: Served) => boolean): Promise<number> {
  let held: number | undefined
  const look = (): boolean => {
    held = from.heldAfter(since, SPAN_MS, holds)
    return held !== undefined
  }
  await until('the requests go where they should', look, DEADLINE_MS)
  return held ?? Number.NaN
}

/** The same, and then for so long at least. */
async function staysFor(from: Load, since: number, forMs: number, holds: (served: Served) => boolean): Promise<void> {
  await until('time passes', () => (from.ended().at(-1)?.startedAt ?? 0) > since + forMs, DEADLINE_MS + forMs)
  expect(holds(from.served(since, since + forMs)), JSON.stringify([...from.served(since, since + forMs)])).toBe(true)
}

test('a node with a deep queue gets less than a third of what its peers get, until the queue is empty again', async () => {
  const deep = fleet.node(0)
  await measure(load, performance.now(), (served) => fleet.nodes.every((node) => share(served, node) > 1 / 2))

  const changedAt = await deep.setQueue(200)
  const fell = await measure(load, changedAt, (served) => share(served, deep) < 1 / 3)
  tell(`share below a third of the peers' ${fell} ms after the queue was deep (wanted: 1000)`)
  await staysFor(load, changedAt + fell, 2_000, (served) => share(served, deep) < 1 / 3)

  const emptiedAt = await deep.setQueue(0)
  const rose = await measure(load, emptiedAt, (served) => share(served, deep) > 1 / 2)
  tell(`share back ${rose} ms after the queue was empty`)
  await staysFor(load, emptiedAt + rose, 2_000, (served) => share(served, deep) > 1 / 2)
  expect(load.failed()).toEqual([])
})

test('a drained node gets no new request, finishes its streams, and serves again once undrained', async () => {
  const drained = fleet.node(1)
  const session = await connectGrpc(fleet.proxy.listen)
  onTestFinished(() => session.destroy())
  const streams: OpenStream[] = []
  do streams.push(await openStream(session))
  while (new Set(streams.map(({ endpoint }) => endpoint)).size < fleet.nodes.length && streams.length < STREAMS_MAX)
  const onDrained = streams.filter(({ endpoint }) => endpoint === drained.endpoint)
  expect(onDrained.length).toBeGreaterThan(0)

  await fleet.admin('drain', drained.name)
  const toldAt = performance.now()
  expect(onDrained.filter(({ stream }) => stream.http.closed)).toEqual([])
  const quiet = await measure(load, toldAt, (served) => !served.has(drained.endpoint))
  for (const { stream } of streams) stream.halfClose()
  const ends = await Promise.all(streams.map(({ stream }) => stream.ended))
  const endedAt = performance.now()
  expect(ends.filter(({ status, torn }) => status !== 0 || torn)).toEqual([])
  expect(streams.map(({ tokens }) => tokens())).toEqual(streams.map(() => STREAM_TOKENS))
  await staysFor(load, toldAt + quiet, Math.max(2_000, endedAt - toldAt - quiet), (served) => !served.has(drained.endpoint))
  tell(`last new request ${load.lastServedAfter(toldAt, drained.endpoint)} ms after the drain was acknowledged`)

  await fleet.admin('undrain', drained.name)
  const back = await measure(load, performance.now(), (served) => share(served, drained) > 1 / 2)
  tell(`its share is back ${back} ms after the undrain was acknowledged`)
  expect(load.failed()).toEqual([])
})

test('a drain holds while control plane and NATS are killed and come back, for old proxies and new ones', async () => {
  const drained = fleet.node(2)
  await fleet.admin('drain', drained.name, '--reason', 'new fans')
  const toldAt = performance.now()
  const quietFrom = toldAt + (await measure(load, toldAt, (served) => !served.has(drained.endpoint)))

  await fleet.killControl()
  await until('the proxy sees it', async () => (await fleet.proxy.metric('millrace_mesh_connected')) === 0)
  await staysFor(load, performance.now(), 2_000, (served) => !served.has(drained.endpoint))
  await fleet.reviveControl()
  await staysFor(load, performance.now(), 2_000, (served) => !served.has(drained.endpoint))
  expect(await fleet.admin('nodes')).toMatch(new RegExp(`^${drained.name} .*DRAIN \\(new fans.* DRAINING `, 'm'))

  const second = await fleet.startProxy()
  await withLoad(second, async (other) => {
    await measure(other, performance.now(), (served) => served.size === 2)
    await staysFor(other, performance.now(), 2_000, (served) => served.size === 2)
    expect(other.served().has(drained.endpoint)).toBe(false)
    expect(load.served(quietFrom).has(drained.endpoint)).toBe(false)

    await fleet.admin('undrain', drained.name)
    const undrainedAt = performance.now()
    for (const one of [load, other]) await measure(one, undrainedAt, (served) => share(served, drained) > 1 / 2)
    expect(other.failed()).toEqual([])
  })
  expect(load.failed()).toEqual([])
})

async function withLoad(proxy: FleetProxy, play: (load: Load) => Promise<void>): Promise<void> {
  const other = new Load({ to: proxy.listen, perSecond: PER_SECOND / 2 })
  try {
    await play(other)
  } finally {
    await other.stop()
  }
}

type OpenStream = { readonly stream: GrpcStream; readonly endpoint: string; readonly tokens: () => number }

/** Answered, and open until its client has no more to ask. */
async function openStream(session: GrpcSession): Promise<OpenStream> {
  let tokens = 0
  const stream = session.open(MODEL_STREAM_INFER, { onMessage: () => void tokens++ })
  stream.send(tokenRequest({ tokens: STREAM_TOKENS }))
  const head = await stream.head
  return { stream, endpoint: String(head['x-millrace-endpoint']), tokens: () => tokens }
}
