/** What a primary tells its workers, and what it makes of what they say. */
import { describe, expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import type { Endpoint } from '../../core/mesh-snapshot.ts'
import { EndpointSlot } from '../routing/endpoint-slot.ts'
import { RoutingTable } from '../routing/routing-table.ts'
import { LedgerSums, type WorkerAccounts } from './ledger-sums.ts'
import { Picture } from './picture.ts'
import { type Batch, packRows } from './rows.ts'
import { type FeedSource, WorkerFeed } from './worker-feed.ts'

const endpoint = (id: string, more: Partial<Endpoint> = {}): Endpoint => ({
  id,
  node: id,
  zone: '',
  address: '127.0.0.1:1',
  protocol: 'KSERVE_GRPC',
  models: ['m'],
  weight: 100,
  state: 'READY',
  freshness: 'fresh',
  capacity: 0,
  ...more,
})
const seeded = (seed: number) => () => {
  seed = (seed * 48_271) % 2_147_483_647
  return seed / 2_147_483_647
}

/** A primary with one worker, batch by batch. */
class Pair {
  readonly picture = new Picture()
  readonly feed = new WorkerFeed()
  readonly table = new RoutingTable()
  readonly source: FeedSource = {
    endpoint: (id) => this.picture.get(id),
    head: () => this.picture.head,
    load: (id) => ({ id, load: { queueDepth: 1 }, ageMs: 0, teller: 1 }),
    loadsHold: () => ({ teller: 1, ageMs: 0 }),
    elsewhere: () => [7, 2],
  }

  put(...endpoints: readonly Endpoint[]): void {
    for (const one of endpoints) this.feed.changed(one.id, this.picture.put(one))
  }

  remove(...ids: readonly string[]): void {
    for (const id of ids) if (this.picture.remove(id)) this.feed.changed(id, 'breaks')
  }

  step(): Batch | undefined {
    const batch = this.feed.take(this.source)
    if (batch === undefined) return undefined
    for (const one of batch.upserts) this.table.upsert(one)
    if (batch.head !== undefined) this.table.setHead(batch.head)
    for (const id of batch.removed) this.table.remove(id)
    return batch
  }

  /** Until nothing waits; `look` sees the worker after each turn. */
  flow(look: () => void = () => {}): void {
    while (this.step() !== undefined) {
      look()
      this.feed.answered()
    }
  }

  get serving(): readonly string[] {
    return (this.table.candidatesFor('m')?.tiers[0]?.slots ?? []).map((slot) => slot.id)
  }
}

describe('a worker’s feed', () => {
  test('tells the worker all there is, in batches that fit a turn, one at a time', () => {
    const pair = new Pair()
    pair.put(...Array.from({ length: 1_000 }, (_, at) => endpoint(`e${at}`)))
    pair.feed.headChanged()
    expect(pair.step()?.upserts).toHaveLength(limits.feedRowsMax)
    expect(pair.step(), 'the first is not answered yet').toBeUndefined()
    pair.feed.answered()
    expect(pair.feed.knowsAll).toBe(false)
    pair.flow()
    expect(pair.feed.knowsAll).toBe(true)
    expect(pair.table.size).toBe(1_000)
  })

  test('while one fleet takes the place of another, a model always has as many as before or after', () => {
    const pair = new Pair()
    pair.put(...Array.from({ length: 500 }, (_, at) => endpoint(`old${at}`)))
    pair.feed.headChanged()
    pair.flow()
    pair.feed.held = true
    for (let at = 0; at < 500; at += 100) {
      pair.put(
        ...Array.from({ length: 100 }, (_, i) =>
          endpoint(at < 250 ? `old${at + i}` : `new${at + i}`, { state: at < 250 ? 'DRAINING' : 'READY' }),
        ),
      )
      pair.flow(() => expect(pair.serving.length).toBeGreaterThanOrEqual(500))
    }
    pair.remove(...Array.from({ length: 200 }, (_, i) => `old${300 + i}`))
    pair.flow(() => expect(pair.serving.length).toBeGreaterThanOrEqual(500))
    pair.feed.held = false
    pair.flow(() => expect(pair.serving.length).toBeGreaterThanOrEqual(200))
    expect(pair.serving.filter((id) => id.startsWith('new'))).toHaveLength(200)
    expect(pair.serving).toHaveLength(200)
  })

  test('the newest is told, once, and what is the same is not told', () => {
    const pair = new Pair()
    pair.put(endpoint('a'))
    pair.flow()
    pair.put(endpoint('a'))
    expect(pair.step()).toBeUndefined()
    for (let weight = 1; weight <= 50; weight++) pair.put(endpoint('a', { weight }))
    expect(pair.step()?.upserts.map((one) => one.weight)).toEqual([50])
    pair.feed.answered()
    pair.remove('a')
    pair.put(endpoint('a', { address: '127.0.0.1:2' }))
    pair.flow()
    expect(pair.table.slot('a')?.endpoint.address).toBe('127.0.0.1:2')
  })

  test('loads and charges come after the endpoints that they are of', () => {
    const pair = new Pair()
    pair.put(...Array.from({ length: limits.feedRowsMax + 1 }, (_, at) => endpoint(`e${at}`)))
    pair.feed.loaded('e0')
    pair.feed.charged('e0')
    const first = pair.step()
    expect([first?.loads.length, first?.elsewhere.length]).toEqual([0, 0])
    pair.feed.answered()
    expect(pair.step()).toMatchObject({ loads: [{ id: 'e0', load: { queueDepth: 1 } }], elsewhere: [['e0', 7, 2]] })
  })

  test('that loads hold is told after every load, and once', () => {
    const pair = new Pair()
    pair.put(...Array.from({ length: limits.feedRowsMax + 1 }, (_, at) => endpoint(`e${at}`)))
    for (let at = 0; at < limits.feedLoadsMax + 1; at++) pair.feed.loaded(`e${at}`)
    pair.feed.loadsHold()
    const told: (readonly [number, boolean])[] = []
    for (let batch = pair.step(); batch !== undefined; batch = pair.step()) {
      told.push([batch.loads.length, batch.hold !== undefined])
      pair.feed.answered()
    }
    expect(told).toEqual([
      [0, false],
      [limits.feedLoadsMax, false],
      [1, true],
    ])
  })

  test.each([1, 2, 3])('after any history the worker’s table is the primary’s picture, seed %i', (seed) => {
    const draw = seeded(seed * 104_729)
    const pair = new Pair()
    for (let step = 0; step < 500; step++) {
      const id = `e${Math.floor(draw() * 60)}`
      if (draw() < 0.7)
        pair.put(
          endpoint(id, {
            weight: Math.floor(draw() * 5),
            state: draw() < 0.3 ? 'DRAINING' : 'READY',
            models: draw() < 0.5 ? ['m'] : ['m', 'n'],
          }),
        )
      else pair.remove(id)
      if (draw() < 0.3) pair.feed.held = !pair.feed.held
      if (draw() < 0.4) pair.step()
      if (draw() < 0.4) pair.feed.answered()
    }
    pair.feed.held = false
    pair.feed.answered()
    pair.flow()
    expect(pair.table.slots.map((slot) => slot.endpoint).sort((a, b) => a.id.localeCompare(b.id))).toEqual(
      [...pair.picture.ids].map((id) => pair.picture.get(id)).sort((a, b) => (a?.id ?? '').localeCompare(b?.id ?? '')),
    )
  })
})

describe('the workers’ ledgers', () => {
  const slot = (id: string, numbers: Partial<EndpointSlot> = {}): EndpointSlot => Object.assign(new EndpointSlot(endpoint(id)), numbers)
  const rowOf = (sums: LedgerSums, id: string) => [...sums.rows()].find((row) => row.id === id)

  test('are added up, and each worker learns what the others hold', () => {
    const sums = new LedgerSums()
    const [a, b]: [WorkerAccounts, WorkerAccounts] = [new Map(), new Map()]
    sums.know('x')
    expect(sums.take(a, packRows([slot('x', { inFlight: 3, unanswered: 2, successes: 5 })]))).toEqual(['x'])
    expect(sums.take(b, packRows([slot('x', { inFlight: 1, burning: 1, ejected: true })]))).toEqual(['x'])
    expect(sums.take(a, packRows([slot('x', { inFlight: 3, unanswered: 2, successes: 6 })])), 'no charge changed').toEqual([])
    expect(sums.take(a, packRows([slot('x', { inFlight: 3, unanswered: 1, successes: 6 })])), 'one is answered').toEqual(['x'])
    expect(rowOf(sums, 'x')).toEqual({ id: 'x', inFlight: 4, burning: 1, successes: 6, backpressures: 0, failures: 0, ejected: true })
    expect([sums.elsewhere('x', a), sums.elsewhere('x', b)]).toEqual([
      [2, 0],
      [3, 1],
    ])
    expect(sums.takeUntold(10)).toHaveLength(1)
    expect(sums.takeUntold(10)).toHaveLength(0)
  })

  test('a worker that dies leaves its counts and takes its charges', () => {
    const sums = new LedgerSums()
    const dead: WorkerAccounts = new Map()
    sums.know('x')
    sums.take(dead, packRows([slot('x', { inFlight: 3, successes: 5, ejected: true })]))
    expect(sums.bury(dead)).toEqual(['x'])
    expect(rowOf(sums, 'x')).toMatchObject({ inFlight: 0, successes: 5, ejected: false })
    sums.take(new Map(), packRows([slot('x', { inFlight: 1, successes: 2 })]))
    expect(rowOf(sums, 'x')).toMatchObject({ inFlight: 1, successes: 7 })
  })

  test('beyond the bound endpoints are one row, whose counters never fall', () => {
    const sums = new LedgerSums()
    const worker: WorkerAccounts = new Map()
    const ids = Array.from({ length: limits.endpointSeriesMax + 3 }, (_, at) => `e${at}`)
    for (const id of ids) sums.know(id)
    expect(sums.unshown).toBe(3)
    sums.take(worker, packRows(ids.map((id) => slot(id, { inFlight: 1, successes: 2 }))))
    expect([...sums.rows()]).toHaveLength(limits.endpointSeriesMax)
    expect(sums.others).toMatchObject({ inFlight: 3, successes: 6 })
    sums.forget([ids.at(-1) ?? ''], [worker])
    expect(sums.others).toMatchObject({ inFlight: 2, successes: 6 })
    expect(worker.has(ids.at(-1) ?? '')).toBe(false)
    sums.take(worker, packRows([slot(ids.at(-1) ?? '', { inFlight: 9 })]))
    expect(sums.others, 'nobody names it any more').toMatchObject({ inFlight: 2 })
  })

  test('a place that becomes free goes to one of the others, whose row begins at zero', () => {
    const sums = new LedgerSums()
    const worker: WorkerAccounts = new Map()
    const ids = Array.from({ length: limits.endpointSeriesMax + 1 }, (_, at) => `e${at}`)
    for (const id of ids) sums.know(id)
    const last = ids.at(-1) ?? ''
    sums.take(worker, packRows([slot(last, { inFlight: 1, successes: 5 })]))
    expect([rowOf(sums, last), sums.others]).toMatchObject([undefined, { inFlight: 1, successes: 5 }])
    sums.forget(['e0'], [worker])
    sums.take(worker, packRows([slot(last, { inFlight: 2, successes: 7 })]))
    expect([rowOf(sums, last), sums.others]).toMatchObject([
      { inFlight: 2, successes: 2 },
      { inFlight: 0, successes: 5 },
    ])
    expect(sums.unshown).toBe(0)
    expect(sums.takeUntold(9), 'the control plane is told of all').toMatchObject([{ id: last, successes: 7 }])
  })
})

test('an endpoint that other requests reach from now on breaks what was, whatever else is new', () => {
  const picture = new Picture()
  expect(picture.put(endpoint('a', { models: ['m'] }))).toBe('makes')
  expect(picture.put(endpoint('a', { models: ['m', 'n'] }))).toBe('makes')
  expect(picture.put(endpoint('a', { models: ['m', 'n'], protocol: 'GRPC' }))).toBe('breaks')
  expect(picture.put(endpoint('a', { models: ['m', 'n'], protocol: 'GRPC' }))).toBe('same')
})
