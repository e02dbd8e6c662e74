import { describe, expect, test } from 'vitest'
import { EMPTY_SNAPSHOT, type Endpoint, type MeshSnapshot, POLICIES } from '../../core/mesh-snapshot.ts'
import { millis } from '../../core/units.ts'
import type { Ask } from './ask.ts'
import { EndpointSlot } from './endpoint-slot.ts'
import { Ledger } from './ledger.ts'
import { pick } from './pick.ts'
import { createPolicy } from './policy.ts'
import { createPool } from './pool.ts'
import { RoutingTable } from './routing-table.ts'

const endpoint = (id: string, more: Partial<Endpoint> = {}): Endpoint => ({
  id,
  node: id,
  zone: '',
  address: '127.0.0.1:1',
  protocol: 'KSERVE_GRPC',
  models: ['*'],
  weight: 100,
  state: 'READY',
  freshness: 'fresh',
  capacity: 0,
  ...more,
})
const slot = (id: string, more: Partial<Endpoint> = {}): EndpointSlot => new EndpointSlot(endpoint(id, more))
const seeded = (seed: number) => () => {
  seed = (seed * 48_271) % 2_147_483_647
  return seed / 2_147_483_647
}
const now = millis(1_000)
const ask = (draw: () => number, at = now): Ask => ({ now: at, draw, excluded: [] })
const table = (endpoints: Endpoint[], more: Partial<MeshSnapshot> = {}): RoutingTable =>
  new RoutingTable({ ...EMPTY_SNAPSHOT, endpoints, ...more }, (one) => new EndpointSlot(one))
const pickFrom = (from: RoutingTable, model = 'm', excluded: readonly EndpointSlot[] = [], draw = seeded(1)) => {
  const candidates = from.candidatesFor(model)
  return candidates === undefined ? undefined : pick(candidates, { now, draw, excluded })
}

describe.each(POLICIES)('%s keeps the contract of every policy:', (name) => {
  test('it answers a member of the pool, and the only one when there is one', () => {
    const pool = createPool([slot('a'), slot('b'), slot('c', { weight: 0 })])
    const policy = createPolicy(name)
    const draw = seeded(3)
    for (let i = 0; i < 1_000; i++) expect(pool.slots).toContain(policy.choose(pool, ask(draw)))
    const lone = slot('z', { weight: 0 })
    expect(policy.choose(createPool([lone]), ask(draw))).toBe(lone)
  })

  test('equal endpoints get equal shares when each choice is charged', () => {
    const slots = ['a', 'b', 'c', 'd'].map((id) => slot(id))
    const pool = createPool(slots)
    const policy = createPolicy(name)
    const ledger = new Ledger()
    const draw = seeded(5)
    for (let i = 0; i < 4_000; i++) ledger.charge(policy.choose(pool, ask(draw)), now)
    for (const one of slots) expect(one.inFlight).toBeGreaterThan(900)
  })

  test('whatever rows and reports come, its choice serves and its terms are numbers or words', () => {
    const draw = seeded(9)
    const odd = [0, 1e-9, 0.001, 1, 1e9, 1e300]
    const any = (): number => odd[Math.floor(draw() * odd.length)] as number
    const slots = Array.from({ length: 12 }, (_, at) => slot(`e${at}`, { weight: any(), capacity: Math.floor(Math.min(any(), 1e6)) }))
    const pool = createPool(slots)
    const policy = createPolicy(name)
    const ledger = new Ledger()
    for (let step = 0; step < 3_000; step++) {
      const at = millis(step * 7)
      const one = slots[Math.floor(draw() * slots.length)] as EndpointSlot
      const load = { queueDepth: any(), requestsPerSecond: any(), kvCacheUse: draw() * 1.2, ...(draw() < 0.5 && { running: any() }) }
      if (draw() < 0.3) one.report(draw() < 0.1 ? undefined : { load, sampledAt: millis(at - draw() * 3_000) })
      if (draw() < 0.2) one.firstByte.record(millis(any()), at)
      const chosen = policy.choose(pool, { now: at, draw, excluded: [] })
      expect(pool.slots).toContain(chosen)
      for (const [term, value] of Object.entries(policy.terms(chosen, ask(draw, at)))) expect(value, term).not.toBeNaN()
      ledger.charge(chosen, at)
      if (draw() < 0.2 && one.unanswered > 0) ledger.answered(one)
      if (draw() < 0.8 && one.unanswered > 0) ledger.settle(one, draw() < 0.2 ? 'failure' : 'success', draw() < 0.1, false, at)
      ledger.expire(at)
    }
  })
})

test('weights decide how often an endpoint is drawn', () => {
  const pool = createPool([slot('a', { weight: 300 }), slot('b', { weight: 100 }), slot('c', { weight: 0 })])
  const draw = seeded(11)
  const counts = [0, 0, 0]
  for (let i = 0; i < 40_000; i++) {
    const drawn = pool.drawIndex(draw())
    counts[drawn] = (counts[drawn] ?? 0) + 1
  }
  expect((counts[0] ?? 0) / (counts[1] ?? 1)).toBeGreaterThan(2.7)
  expect((counts[0] ?? 0) / (counts[1] ?? 1)).toBeLessThan(3.3)
  expect(counts[2]).toBe(0)
})

test.each(
  (['LEAST_WAIT', 'LEAST_REQUEST'] as const).flatMap((policy) =>
    [2, 3, 8].flatMap((size) => [0, 1, 5].map((held) => ({ policy, size, held }))),
  ),
)('$policy gives a young endpoint of $size its small share while each peer holds $held requests', ({ policy, size, held }) => {
  const young = slot('young', { weight: 10, slowStart: 0.1 })
  const peers = Array.from({ length: size - 1 }, (_, at) => slot(`peer-${at}`))
  for (const peer of peers) peer.inFlight = held
  const pool = createPool([young, ...peers])
  const { choose } = createPolicy(policy)
  const draw = seeded(7)
  const share = Array.from({ length: 10_000 }, () => choose(pool, ask(draw))).filter((one) => one === young).length / 10_000
  const fair = 0.1 / (size - 1 + 0.1)
  expect(share).toBeGreaterThan(fair / 2)
  expect(share).toBeLessThan(2.2 * fair)
})

test('tiers are asked in order: serving, busy, last resort, ejected, and FAILED only in panic; DRAINING and STARTING never', () => {
  const all = [
    endpoint('ready'),
    endpoint('busy', { state: 'BUSY' }),
    endpoint('silent', { freshness: 'last-resort' }),
    endpoint('ejected'),
    endpoint('failed', { state: 'FAILED' }),
    endpoint('draining', { state: 'DRAINING' }),
    endpoint('starting', { state: 'STARTING' }),
  ]
  const routing = table(all)
  const ejected = routing.slots.find((one) => one.id === 'ejected') as EndpointSlot
  ejected.ejected = true
  routing.resort(ejected)
  const order: string[] = []
  const excluded: EndpointSlot[] = []
  for (let next = pickFrom(routing, 'm', excluded); next !== undefined; next = pickFrom(routing, 'm', excluded)) {
    order.push(next.id)
    excluded.push(next)
  }
  expect(order).toEqual(['ready', 'busy', 'silent', 'ejected', 'failed'])
})

test('a drain out of caution is asked when nobody serves, and before those that failed; whoever may not be asked in panic never is', () => {
  const order = (...all: ReturnType<typeof endpoint>[]): string[] => {
    const routing = table(all)
    const excluded: EndpointSlot[] = []
    for (let next = pickFrom(routing, 'm', excluded); next !== undefined; next = pickFrom(routing, 'm', excluded)) excluded.push(next)
    return excluded.map(({ id }) => id)
  }
  const failed = endpoint('failed', { state: 'FAILED' })
  const careful = endpoint('careful', { state: 'DRAINING', panic: 'may' })
  expect(order(failed, careful, endpoint('busy', { state: 'BUSY' }))).toEqual(['busy', 'careful', 'failed'])
  expect(order(endpoint('broken', { state: 'FAILED', panic: 'never' }), failed)).toEqual(['failed'])
  expect(order(endpoint('broken', { state: 'DRAINING', panic: 'never' }))).toEqual([])
})

test('a model goes to the endpoints that name it and to those that serve all; an unknown one only to the latter, or nowhere', () => {
  const named = table([endpoint('a', { models: ['x'] }), endpoint('b', { models: ['y', '*'] })])
  expect(named.candidatesFor('x')?.slots.map((one) => one.id)).toEqual(['a', 'b'])
  expect(named.candidatesFor('unknown')?.slots.map((one) => one.id)).toEqual(['b'])
  expect(table([endpoint('a', { models: ['x'] })]).candidatesFor('unknown')).toBeUndefined()
})

test('what an endpoint speaks decides which requests reach it', () => {
  const spoken = table(
    [
      endpoint('kserve', { models: ['x'] }),
      endpoint('other', { models: ['x', 'y'], protocol: 'GRPC' }),
      endpoint('http', { models: ['x', 'z'], protocol: 'HTTP' }),
      endpoint('every', { models: ['*'], protocol: 'GRPC' }),
    ],
    { routes: [{ prefix: '/a.B/', model: 'x' }] },
  )
  const ids = (found: { readonly slots: readonly EndpointSlot[] } | undefined) => found?.slots.map((one) => one.id)
  expect(['x', 'y', 'z'].map((model) => ids(spoken.candidatesFor(model)))).toEqual([['kserve'], undefined, undefined])
  expect(['x', 'y', 'z'].map((model) => ids(spoken.routedTo(model)))).toEqual([['kserve', 'other', 'every'], ['other', 'every'], ['every']])
  expect(spoken.modelNames).toEqual(['x'])
  expect([spoken.serves('y'), spoken.servesRoutedTo('y')]).toEqual([false, true])
})

test.each<[string, Partial<Endpoint>[], string | undefined]>([
  ['one that names its models', [{ models: ['x'] }], 'e0'],
  ['one that serves, not one that failed', [{ models: ['x'], state: 'FAILED' }, { models: ['y'] }], 'e1'],
  ['one that failed, when there is no other', [{ models: ['x'], state: 'FAILED' }], 'e0'],
  ['one of every model first', [{ models: ['x'] }, { models: ['*'] }], 'e1'],
  ['nobody who speaks no KServe', [{ models: ['x'], protocol: 'GRPC' }], undefined],
])('what any endpoint can answer is asked of %s', (_, endpoints, asked) => {
  const some = table(endpoints.map((more, at) => endpoint(`e${at}`, more))).someCandidates
  expect(some?.slots[0]?.id).toBe(asked)
})

test('a model that nobody serves by KServe says by what it is served', () => {
  const others = table([endpoint('a', { models: ['x'], protocol: 'GRPC' }), endpoint('b', { models: ['x', 'y'], protocol: 'HTTP' })])
  expect(['x', 'y', 'z'].map((model) => others.servedOtherwise(model))).toEqual(['GRPC', 'HTTP', undefined])
})

test('an endpoint that speaks something else from now on leaves the requests that it took', () => {
  const changed = table([endpoint('a', { models: ['x'] })], { routes: [{ prefix: '/a.B/', model: 'x' }] })
  const reached = () => [changed.candidatesFor('x')?.size, changed.routedTo('x')?.size, changed.servedOtherwise('x')]
  expect(reached()).toEqual([1, 1, undefined])
  changed.upsert(endpoint('a', { models: ['x'], protocol: 'GRPC' }))
  expect(reached()).toEqual([undefined, 1, 'GRPC'])
  changed.upsert(endpoint('a', { models: ['x'], protocol: 'HTTP' }))
  expect(reached()).toEqual([undefined, undefined, 'HTTP'])
  changed.remove('a')
  expect(reached()).toEqual([undefined, undefined, undefined])
})

test('the longest route prefix wins', () => {
  const routing = table([], {
    routes: [
      { prefix: '/a.', model: 'short' },
      { prefix: '/a.B/', model: 'long' },
    ],
  })
  expect([routing.routeOf('/a.B/C'), routing.routeOf('/a.X/C'), routing.routeOf('/b')]).toEqual(['long', 'short', undefined])
})

test('the ledger is open attempts plus burning, and what burns goes out', () => {
  const ledger = new Ledger()
  const [a, b] = [slot('a'), slot('b')]
  for (const one of [a, a, b]) ledger.charge(one, now)
  expect([ledger.open, a.inFlight, b.inFlight]).toEqual([3, 2, 1])
  ledger.settle(a, 'neither', true, false, millis(0))
  ledger.settle(b, 'success', false, false, millis(0))
  expect([ledger.open, ledger.burning, a.charged, b.charged]).toEqual([1, 1, 2, 0])
  ledger.expire(millis(1_999))
  expect(a.charged).toBe(2)
  ledger.expire(millis(2_000))
  expect([ledger.burning, a.charged, a.unbegun]).toEqual([0, 1, 1])
  expect(() => ledger.settle(b, 'success', false, false, millis(0))).toThrow('settled once')
})

test('an attempt is unanswered until its answer begins or it ends, whichever comes first', () => {
  const ledger = new Ledger()
  const one = slot('a')
  for (let i = 0; i < 3; i++) ledger.charge(one, now)
  one.holdElsewhere(4, 2, now)
  expect([one.charged, one.unbegun]).toEqual([7, 5])
  ledger.answered(one)
  expect([one.charged, one.unbegun]).toEqual([7, 4])
  ledger.settle(one, 'success', false, true, now)
  ledger.settle(one, 'failure', false, false, now)
  expect([one.charged, one.unbegun]).toEqual([5, 3])
  ledger.answered(one)
  expect(() => ledger.answered(one)).toThrow('begins once')
})
