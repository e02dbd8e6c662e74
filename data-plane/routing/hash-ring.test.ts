import { expect, test } from 'vitest'
import { mix } from '../../core/key-hash.ts'
import { EndpointSlot } from './endpoint-slot.ts'
import { HashRing, Nearest } from './hash-ring.ts'

const slot = (id: string, weight = 100): EndpointSlot =>
  new EndpointSlot({
    ...{ id, node: id, zone: '', address: '127.0.0.1:1', protocol: 'KSERVE_GRPC', models: ['*'] },
    ...{ weight, state: 'READY', freshness: 'fresh', capacity: 0 },
  })
const ids = (count: number): string[] => Array.from({ length: count }, (_, at) => `gpu-${at}/triton`)
const ringOf = (slots: readonly EndpointSlot[]): HashRing => {
  const ring = new HashRing(0)
  for (const one of slots) ring.add(one)
  return ring
}
const owner = (ring: HashRing, key: number, fits?: (slot: EndpointSlot) => boolean): EndpointSlot | undefined => {
  const found = new Nearest()
  ring.search(mix(key), found, fits)
  return found.slot
}
const weigh = (ring: HashRing, one: EndpointSlot, weight: number): void => {
  one.endpoint = { ...one.endpoint, weight }
  ring.weigh(one)
}
const KEYS = 20_000
const owners = (ring: HashRing): (string | undefined)[] => Array.from({ length: KEYS }, (_, key) => owner(ring, key)?.id)
const seeded = (seed: number) => () => {
  seed = (seed * 48_271) % 2_147_483_647
  return seed / 2_147_483_647
}

test('two who know the same endpoints agree, in whatever order and with whatever detours they learnt of them', () => {
  const here = ringOf(ids(40).map((id) => slot(id)))
  const there = ringOf(
    ids(40)
      .toReversed()
      .map((id) => slot(id, 7)),
  )
  const guests = ids(90)
    .slice(40)
    .map((id) => slot(id, 300))
  for (const guest of guests) there.add(guest)
  for (const guest of guests) there.remove(guest)
  const again = ids(40).map((id) => slot(id))
  const other = ringOf(again)
  for (const one of again) weigh(other, one, 7)
  expect(owners(there)).toEqual(owners(here))
  expect(owners(other)).toEqual(owners(here))
})

test.each([2, 5, 64])('of %i endpoints the one that leaves gives up its own keys and no other moves; back it has them again', (count) => {
  const slots = ids(count).map((id) => slot(id))
  const ring = ringOf(slots)
  const before = owners(ring)
  const leaver = slots[1] as EndpointSlot
  ring.remove(leaver)
  const after = owners(ring)
  for (const [key, was] of before.entries()) {
    if (was === leaver.id) expect(after[key]).not.toBe(leaver.id)
    else expect(after[key]).toBe(was)
  }
  ring.add(leaver)
  expect(owners(ring)).toEqual(before)
})

test('who gains weight takes keys and moves none between two others; who loses it gives some up', () => {
  const slots = ids(10).map((id) => slot(id))
  const ring = ringOf(slots)
  const before = owners(ring)
  const one = slots[3] as EndpointSlot
  weigh(ring, one, 250)
  const heavier = owners(ring)
  for (const [key, was] of before.entries()) if (heavier[key] !== was) expect(heavier[key]).toBe(one.id)
  weigh(ring, one, 20)
  const lighter = owners(ring)
  for (const [key, was] of before.entries()) if (lighter[key] !== was) expect(was).toBe(one.id)
  const share = (of: readonly (string | undefined)[]): number => of.filter((id) => id === one.id).length / KEYS
  expect([share(lighter), share(before), share(heavier)]).toEqual([
    expect.closeTo(20 / 920, 2),
    expect.closeTo(1 / 10, 1.3),
    expect.closeTo(250 / 1_150, 1.3),
  ])
})

test('shares are as the weights are, and weight zero has none while others have some', () => {
  const weights = [100, 300, 100, 0, 50, 1_000]
  const slots = weights.map((weight, at) => slot(`gpu-${at}/x`, weight))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const found = owners(ringOf(slots))
  for (const [at, one] of slots.entries()) {
    const share = found.filter((id) => id === one.id).length / KEYS
    const fair = (weights[at] ?? 0) / total
    expect(share).toBeGreaterThanOrEqual(0.75 * fair)
    expect(share).toBeLessThanOrEqual(1.25 * fair)
  }
  const idle = [slot('a', 0), slot('b', 0)]
  expect(new Set(owners(ringOf(idle)))).toEqual(new Set(['a', 'b']))
})

test('the search finds whom a look at everybody finds, whoever comes, goes, changes weight and does not fit', () => {
  const draw = seeded(17)
  const slots = ids(60).map((id) => slot(id))
  const ring = ringOf([])
  const there = new Map<EndpointSlot, HashRing>()
  for (let step = 0; step < 3_000; step++) {
    const one = slots[Math.floor(draw() * slots.length)] as EndpointSlot
    const weight = Math.floor(draw() * 4) * 100
    const alone = there.get(one)
    if (alone === undefined) {
      one.endpoint = { ...one.endpoint, weight }
      ring.add(one)
      const single = ringOf([one])
      there.set(one, single)
    } else if (draw() < 0.4) {
      ring.remove(one)
      there.delete(one)
    } else {
      weigh(ring, one, weight)
      alone.weigh(one)
    }
    const fits = step % 3 === 0 ? (slot: EndpointSlot) => slot.id.length % 2 === 0 : undefined
    const best = new Nearest()
    for (const [member, single] of there) if (fits === undefined || fits(member)) single.search(mix(step), best)
    expect(owner(ring, step, fits)?.id).toBe(best.slot?.id)
  }
})

test('what the members hold is known, and no slot that left is looked at', () => {
  const slots = ids(20).map((id) => slot(id))
  const ring = ringOf(slots)
  for (const one of slots) one.inFlight = 3
  ring.look()
  expect([ring.held, ring.weight]).toEqual([60, 2_000])
  for (const one of slots.slice(5)) ring.remove(one)
  ring.look()
  expect([ring.held, ring.weight]).toEqual([15, 500])
  for (const one of slots.slice(0, 5)) ring.remove(one)
  expect([ring.held, ring.weight, owner(ring, 1)]).toEqual([0, 0, undefined])
})
