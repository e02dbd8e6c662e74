import { expect, test } from 'vitest'
import { mix } from '../../core/key-hash.ts'
import { millis } from '../../core/units.ts'
import type { Ask } from './ask.ts'
import { EndpointSlot } from './endpoint-slot.ts'
import { createPolicy } from './policy.ts'
import { createPool } from './pool.ts'

const slot = (id: string, weight = 100, capacity = 0): EndpointSlot =>
  new EndpointSlot({
    ...{ id, node: id, zone: '', address: '127.0.0.1:1', protocol: 'KSERVE_GRPC', models: ['*'] },
    ...{ weight, state: 'READY', freshness: 'fresh', capacity },
  })
const seeded = (seed: number) => () => {
  seed = (seed * 48_271) % 2_147_483_647
  return seed / 2_147_483_647
}
const ask = (key: number | undefined, excluded: readonly EndpointSlot[] = [], draw = seeded(1)): Ask => ({
  now: millis(1),
  draw,
  excluded,
  key,
})
const slots = (count: number, capacity = 0): EndpointSlot[] => Array.from({ length: count }, (_, at) => slot(`gpu-${at}/x`, 100, capacity))

test('requests of one key go to one endpoint, and keys spread over all', () => {
  const members = slots(5)
  const policy = createPolicy('RING_HASH')
  const pool = createPool(members)
  const found = new Set<EndpointSlot>()
  for (let key = 0; key < 100; key++) {
    const first = policy.choose(pool, ask(mix(key)))
    found.add(first)
    for (let again = 0; again < 5; again++) expect(policy.choose(pool, ask(mix(key)))).toBe(first)
  }
  expect(found.size).toBe(5)
})

test('what was tried is passed over, and every proxy passes on to the same next', () => {
  const [here, there] = [slots(6), slots(6).toReversed()]
  const policy = createPolicy('RING_HASH')
  const order = (members: readonly EndpointSlot[], key: number): string[] => {
    const pool = createPool(members)
    const tried: EndpointSlot[] = []
    for (let i = 0; i < members.length; i++) tried.push(policy.choose(pool, ask(key, tried)))
    return tried.map(({ id }) => id)
  }
  for (let key = 0; key < 50; key++) {
    expect(order(here, mix(key))).toEqual(order(there, mix(key)))
    expect(new Set(order(here, mix(key))).size).toBe(6)
  }
})

test('one hot key never takes an endpoint above its bound, and no request is left without one', () => {
  const members = [...slots(7), slot('heavy/x', 400)]
  const total = members.reduce((sum, { endpoint }) => sum + endpoint.weight, 0)
  const policy = createPolicy('RING_HASH')
  const pool = createPool(members)
  const draw = seeded(9)
  const held: EndpointSlot[] = []
  for (let step = 0; step < 5_000; step++) {
    if (held.length > 0 && draw() < held.length / 400) {
      const [ended] = held.splice(Math.floor(draw() * held.length), 1)
      if (ended !== undefined) ended.inFlight--
    }
    const one = policy.choose(pool, ask(draw() < 0.8 ? mix(1) : mix(step), [], draw))
    one.inFlight++
    held.push(one)
    const share = (held.length * one.endpoint.weight) / total
    expect(one.inFlight).toBeLessThanOrEqual(Math.max(4, Math.ceil(1.25 * share)))
  }
})

test('while little is held the owner keeps four at once, or what it takes at once', () => {
  const atOnce = (capacity: number): number => {
    const members = slots(40, capacity)
    const policy = createPolicy('RING_HASH')
    const pool = createPool(members)
    const owner = policy.choose(pool, ask(mix(5)))
    while (policy.choose(pool, ask(mix(5))) === owner) owner.inFlight++
    return owner.inFlight
  }
  expect([atOnce(0), atOnce(64), atOnce(2)]).toEqual([4, 4, 2])
})

test('without a key the wait decides', () => {
  const [deep, idle] = [slot('deep'), slot('idle')]
  deep.inFlight = 50
  for (let i = 0; i < 100; i++) expect(createPolicy('RING_HASH').choose(createPool([deep, idle]), ask(undefined))).toBe(idle)
})
