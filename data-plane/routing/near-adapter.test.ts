import { describe, expect, test } from 'vitest'
import { hashText, mix } from '../../core/key-hash.ts'
import { EMPTY_SNAPSHOT, type Endpoint, type Model, type PolicyName } from '../../core/mesh-snapshot.ts'
import { millis } from '../../core/units.ts'
import type { EndpointSlot } from './endpoint-slot.ts'
import { pick } from './pick.ts'
import { RoutingTable } from './routing-table.ts'

const endpoint = (id: string, ...models: readonly string[]): Endpoint => ({
  ...{ id, node: id, zone: '', address: '127.0.0.1:1', protocol: 'KSERVE_GRPC', models },
  ...{ weight: 100, state: 'READY', freshness: 'fresh', capacity: 0 },
})
const seeded = (seed: number) => () => {
  seed = (seed * 48_271) % 2_147_483_647
  return seed / 2_147_483_647
}
const IDS = Array.from({ length: 12 }, (_, at) => `gpu-${at}/x`)
const row = (name: string, policy: PolicyName = 'LEAST_WAIT'): Model => ({ name, policy, adapterOf: 'llm' })
const table = (models: readonly Model[], endpoints: readonly Endpoint[]): RoutingTable =>
  new RoutingTable({ ...EMPTY_SNAPSHOT, models, endpoints })
const choose = (routing: RoutingTable, model: string, seed = 1): EndpointSlot | undefined => {
  const candidates = routing.candidatesFor(model)
  if (candidates === undefined) return undefined
  const adapter = candidates.adapter !== undefined && 'key' in candidates.adapter ? candidates.adapter.key : undefined
  return pick(candidates, { now: millis(1), draw: seeded(seed), excluded: [], adapter })
}

describe.each<PolicyName>(['LEAST_WAIT', 'LEAST_REQUEST', 'ROUND_ROBIN', 'RING_HASH', 'PREFIX'])('of a model with %s', (policy) => {
  test('an adapter keeps to few of the endpoints of the model below, the same for all proxies; adapters spread', () => {
    const adapters = Array.from({ length: 40 }, (_, at) => row(`lora-${at}`, policy))
    const here = table(
      adapters,
      IDS.map((id) => endpoint(id, 'llm')),
    )
    const there = table(
      adapters.toReversed(),
      IDS.toReversed().map((id) => endpoint(id, 'llm')),
    )
    const homes = adapters.map(({ name }) => choose(here, name)?.id)
    for (const [at, { name }] of adapters.entries())
      for (const seed of [1, 2, 3]) expect([choose(here, name, seed)?.id, choose(there, name, seed)?.id]).toEqual([homes[at], homes[at]])
    expect(new Set(homes).size).toBeGreaterThan(8)
  })
})

test('a hot adapter spreads when its home has its part, and no endpoint gets above its bound', () => {
  const routing = table(
    [row('lora')],
    IDS.map((id) => endpoint(id, 'llm')),
  )
  for (let held = 1; held <= 300; held++) {
    const slot = choose(routing, 'lora', held) as EndpointSlot
    slot.inFlight++
    expect(slot.inFlight).toBeLessThanOrEqual(Math.max(4, Math.ceil((1.25 * held) / IDS.length)))
  }
})

test('those that say they serve the adapter come first, while they have room; those of the model below and of every model may serve it', () => {
  const routing = table([row('lora')], [endpoint('a', 'llm'), endpoint('b', 'llm', 'lora'), endpoint('c', '*'), endpoint('d', 'other')])
  const b = routing.slot('b') as EndpointSlot
  for (const seed of [1, 2, 3]) expect(choose(routing, 'lora', seed)).toBe(b)
  b.inFlight = 50
  expect(['a', 'c']).toContain(choose(routing, 'lora')?.id)
  expect(
    routing
      .candidatesFor('lora')
      ?.slots.map(({ id }) => id)
      .toSorted(),
  ).toEqual(['a', 'b', 'c'])
})

test('one that serves the adapter alone is asked for it, and for nothing else', () => {
  const routing = table([row('lora')], [endpoint('merged', 'lora')])
  expect([choose(routing, 'lora')?.id, choose(routing, 'llm')]).toEqual(['merged', undefined])
})

test('a row may come before the endpoints, and go; the model below may come and go', () => {
  const routing = table([row('lora')], [])
  expect(routing.candidatesFor('lora')).toBeUndefined()
  routing.upsert(endpoint('a', 'llm'))
  expect(choose(routing, 'lora')?.id).toBe('a')
  routing.remove('a')
  expect(routing.candidatesFor('lora')).toBeUndefined()
  routing.upsert(endpoint('b', 'llm'))
  expect(choose(routing, 'lora')?.id).toBe('b')
  routing.setHead({ version: '2', models: [], routes: [] })
  expect([routing.candidatesFor('lora'), choose(routing, 'llm')?.id]).toEqual([undefined, 'b'])
  routing.setHead({ version: '3', models: [{ ...row('lora'), adapterOf: 'other' }], routes: [] })
  expect(routing.candidatesFor('lora')).toBeUndefined()
  expect(routing.namesModel('lora')).toBe(true)
})

test('an adapter that a parameter names has its home among the endpoints of the model', () => {
  const routing = table(
    [{ name: 'llm', policy: 'LEAST_WAIT', adapterParameter: 'lora_name' }],
    IDS.map((id) => endpoint(id, 'llm')),
  )
  const candidates = routing.candidatesFor('llm')
  const home = (name: string | undefined, seed: number): string | undefined =>
    candidates &&
    pick(candidates, { now: millis(1), draw: seeded(seed), excluded: [], adapter: name === undefined ? undefined : mix(hashText(name)) })
      ?.id
  for (let seed = 2; seed < 20; seed++) expect(home('fr', seed)).toBe(home('fr', 1))
  expect(new Set(Array.from({ length: 40 }, (_, seed) => home(undefined, (seed + 1) * 9_999_991))).size).toBeGreaterThan(5)
  expect(routing.wishes.parameters).toEqual(['lora_name'])
})
