/** A routing table that changed step by step answers as one that is built anew from the last picture. */
import { expect, test } from 'vitest'
import {
  ENDPOINT_STATES,
  type Endpoint,
  type Freshness,
  type Model,
  POLICIES,
  PROTOCOLS,
  type Route,
  type ZoneOrder,
} from '../../core/mesh-snapshot.ts'
import { millis } from '../../core/units.ts'
import { EndpointSlot } from './endpoint-slot.ts'
import type { Candidates } from './model-groups.ts'
import { pick } from './pick.ts'
import { RoutingTable } from './routing-table.ts'
import { WeightedSet } from './weighted-set.ts'

const seeded = (seed: number) => () => {
  seed = (seed * 48_271) % 2_147_483_647
  return seed / 2_147_483_647
}
const MODELS = ['a', 'b', 'c', '*']
/** What endpoints say that they serve. */
const SERVED = [...MODELS, 'a@1', 'a@2', 'b@1']
const VERSIONS = ['', '1', '2', '3']
const ZONES = ['', 'z1', 'z2', 'z3', 'z4']
const ORDERS: readonly (ZoneOrder | undefined)[] = [undefined, { z1: [['z2'], ['z3']] }, { z1: [['z4', 'z2']] }, { z2: [['z1']] }]
const PATHS = ['/x.A/m', '/x.B/m', '/y/m']
const FRESHNESS: readonly Freshness[] = ['fresh', 'stale', 'last-resort']

type World = {
  readonly endpoints: Map<string, Endpoint>
  models: Model[]
  routes: Route[]
  zones: ZoneOrder | undefined
  readonly ejected: Set<string>
}

function randomEndpoint(id: string, draw: () => number): Endpoint {
  const of = <T>(all: readonly T[]): T => all[Math.floor(draw() * all.length)] as T
  return {
    id,
    node: id,
    zone: of(ZONES),
    address: '127.0.0.1:1',
    protocol: draw() < 0.6 ? 'KSERVE_GRPC' : of(PROTOCOLS),
    models: Array.from({ length: Math.floor(draw() * 3) + 1 }, () => of(SERVED)),
    weight: draw() < 0.2 ? 0 : draw() * 300,
    state: of(ENDPOINT_STATES),
    freshness: of(FRESHNESS),
    capacity: 0,
  }
}

/** What a table answers, in an order of its own: who is in which tier of which model, at which weight in sum. */
const describeTable = (table: RoutingTable): unknown => ({
  size: table.size,
  routes: PATHS.map((path) => table.routeOf(path)),
  names: [...table.modelNames].sort(),
  servesAny: table.servesAny,
  models: [...SERVED, 'unknown'].map((model) => ({
    named: VERSIONS.map((version) => describeCandidates(table.candidatesFor(model, version))),
    routed: VERSIONS.map((version) => describeCandidates(table.routedTo(model, version))),
    serves: [table.serves(model), table.servesRoutedTo(model), table.servedOtherwise(model)],
  })),
})
const describeCandidates = (candidates: Candidates | undefined): unknown =>
  candidates && {
    policy: candidates.policy.name,
    all: candidates.slots.map((slot) => slot.id).sort(),
    levels: candidates.levels,
    near: candidates.tiers.map((_, tier) =>
      Array.from({ length: candidates.levels }, (_, level) =>
        candidates
          .poolAt(tier, level)
          .slots.map((slot) => slot.id)
          .sort(),
      ),
    ),
    whose: candidates.tiers.map((_, tier) => Array.from({ length: 8 }, (_, at) => candidates.levelFor(tier, (at + 0.5) / 8))),
    tiers: candidates.tiers.map((tier) => ({
      ids: tier.slots.map((slot) => slot.id).sort(),
      drawn: [...new Set(Array.from({ length: 64 }, (_, at) => tier.size > 0 && weighs(tier.slotAt(tier.drawIndex(at / 64)))))],
    })),
  }
/** Drawn by weight is only who has one, unless nobody has. */
const weighs = (slot: EndpointSlot): boolean => slot.endpoint.weight > 0

test.each([1, 2, 3, 4, 5])('a random history of 400 changes, seed %i', (seed) => {
  const draw = seeded(seed * 7_919)
  const world: World = { endpoints: new Map(), models: [], routes: [], zones: undefined, ejected: new Set() }
  const table = new RoutingTable()
  const slots = new Map<string, EndpointSlot>()
  for (let step = 0; step < 400; step++) {
    const id = `e${Math.floor(draw() * 40)}`
    const what = draw()
    if (what < 0.6) {
      const endpoint = randomEndpoint(id, draw)
      world.endpoints.set(id, endpoint)
      const slot = table.upsert(endpoint)
      expect(slots.get(id) ?? slot, 'a slot lasts as long as its endpoint').toBe(slot)
      slots.set(id, slot)
    } else if (what < 0.8) {
      world.endpoints.delete(id)
      world.ejected.delete(id)
      table.remove(id)
      slots.delete(id)
    } else if (what < 0.9) {
      const slot = table.slot(id)
      if (slot !== undefined) {
        slot.ejected = !slot.ejected
        if (slot.ejected) world.ejected.add(id)
        else world.ejected.delete(id)
        table.resort(slot)
      }
    } else {
      world.models = MODELS.slice(0, Math.floor(draw() * 4)).map((name) => ({
        name,
        policy: POLICIES[Math.floor(draw() * POLICIES.length)] as Model['policy'],
      }))
      world.routes = PATHS.slice(0, Math.floor(draw() * 4)).map((path) => ({
        prefix: path.slice(0, 3),
        model: MODELS[Math.floor(draw() * MODELS.length)] as string,
      }))
      world.zones = ORDERS[Math.floor(draw() * ORDERS.length)]
      table.setHead({ version: String(step), models: world.models, routes: world.routes, zones: world.zones })
    }
    if (draw() < 0.3) table.settleZones(5)
    if (step % 10 !== 9) continue
    while (table.settleZones(7));
    const anew = new RoutingTable(
      { version: '', models: world.models, routes: world.routes, zones: world.zones, endpoints: [...world.endpoints.values()] },
      (one) => {
        const slot = new EndpointSlot(one)
        slot.ejected = world.ejected.has(one.id)
        return slot
      },
    )
    expect(describeTable(table), `after step ${step}`).toEqual(describeTable(anew))
  }
})

test('a sum of weights is exact after any history, and a draw follows the weights', () => {
  const draw = seeded(17)
  const set = new WeightedSet()
  const slots: EndpointSlot[] = []
  const weights = new Map<EndpointSlot, number>()
  for (let step = 0; step < 5_000; step++) {
    if (draw() < 0.6 || set.slots.length === 0) {
      const slot = new EndpointSlot(randomEndpoint(`s${step}`, draw))
      weights.set(slot, draw() * 1_000)
      set.add(slot, weights.get(slot) as number)
      slots.push(slot)
    } else {
      const at = Math.floor(draw() * set.slots.length)
      weights.delete(set.slots[at] as EndpointSlot)
      set.removeAt(at)
    }
  }
  let sum = 0
  for (const [at, slot] of set.slots.entries()) {
    const weight = weights.get(slot) as number
    expect(set.slots[set.find(sum + weight / 2)]).toBe(set.slots[at])
    sum += weight
  }
  expect(set.total).toBeCloseTo(sum, 6)
  while (set.slots.length > 0) set.removeAt(0)
  expect(set.total, 'nothing is left of what rounding could leave').toBe(0)
})

test('a policy keeps its place when the picture changes around it', () => {
  const draw = seeded(3)
  const ids = ['e0', 'e1', 'e2', 'e3']
  const ready = (id: string): Endpoint => ({
    ...randomEndpoint(id, draw),
    protocol: 'KSERVE_GRPC',
    models: ['a'],
    weight: 100,
    state: 'READY',
    freshness: 'fresh',
  })
  const table = new RoutingTable({
    version: '',
    models: [{ name: 'a', policy: 'ROUND_ROBIN' }],
    routes: [],
    endpoints: ids.map(ready),
  })
  const next = () => {
    const candidates = table.candidatesFor('a')
    return candidates === undefined ? undefined : pick(candidates, { now: millis(0), draw, excluded: [] })?.id
  }
  const seen = ids.map((id, at) => {
    table.upsert(ready(id))
    table.setHead({ version: String(at), models: [{ name: 'a', policy: 'ROUND_ROBIN' }], routes: [] })
    return next()
  })
  expect(seen.sort()).toEqual(ids)
})

test('of ten thousand, those that were tried are never picked again, and the last ones left are found', () => {
  const draw = seeded(5)
  const ready = (id: string): Endpoint => ({
    ...{ ...randomEndpoint(id, draw), protocol: 'KSERVE_GRPC', models: ['*'] },
    ...{ state: 'READY', freshness: 'fresh', weight: 100 },
  })
  const table = new RoutingTable({
    version: '',
    models: [],
    routes: [],
    endpoints: Array.from({ length: 10_000 }, (_, at) => ready(`e${at}`)),
  })
  const candidates = table.candidatesFor('m')
  if (candidates === undefined) throw new Error('they serve every model')
  const tried = new Set<EndpointSlot>()
  for (let i = 0; i < 200; i++) {
    const slot = pick(candidates, { now: millis(0), draw, excluded: [...tried] }) as EndpointSlot
    expect(tried.has(slot)).toBe(false)
    tried.add(slot)
  }
  const few = candidates.slots.slice(0, 3)
  for (const slot of candidates.slots.slice(3)) table.remove(slot.id)
  expect(pick(candidates, { now: millis(0), draw, excluded: few.slice(0, 2) })).toBe(few[2])
  expect(pick(candidates, { now: millis(0), draw, excluded: few })).toBeUndefined()
})
