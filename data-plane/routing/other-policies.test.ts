/** The policies beside LEAST_WAIT, by worked examples and by their shares. */
import { describe, expect, test } from 'vitest'
import { millis } from '../../core/units.ts'
import { ask, seeded, shares, slot } from '../testing/slots.ts'
import type { EndpointSlot } from './endpoint-slot.ts'
import { Ledger } from './ledger.ts'
import { createPolicy } from './policy.ts'
import { createPool, Pool, weightOf } from './pool.ts'
import { Probes, reuse } from './prequal.ts'
import { RecentQuantile } from './recent-quantile.ts'
import { WeightedSet } from './weighted-set.ts'

const weights = (draw: () => number, count: number): EndpointSlot[] =>
  Array.from({ length: count }, (_, at) => slot(`e${at}`, { weight: draw() < 0.1 ? 0 : draw() * 300 }))
const setOf = (slots: readonly EndpointSlot[]): WeightedSet => {
  const set = new WeightedSet()
  for (const one of slots) set.add(one, weightOf(one))
  return set
}

test.each([1, 2, 3])('the shares of WEIGHTED are the weights, seed %i', (seed) => {
  const draw = seeded(seed * 613)
  const slots = weights(draw, 20)
  const whole = slots.reduce((sum, one) => sum + one.endpoint.weight, 0)
  const pool = createPool(slots)
  const policy = createPolicy('WEIGHTED')
  const counts = shares(50_000, () => policy.choose(pool, ask(0, draw)))
  for (const { id, endpoint } of slots) expect((counts[id] ?? 0) / 50_000).toBeCloseTo(endpoint.weight / whole, 1.9)
})

describe('ROUND_ROBIN', () => {
  const order = (slots: readonly EndpointSlot[], times: number): string => {
    const pool = createPool(slots)
    const policy = createPolicy('ROUND_ROBIN')
    return Array.from({ length: times }, () => policy.choose(pool, ask(0)).id).join('')
  }

  test.each([1, 2, 3, 5, 7, 16, 100])('gives each of %i alike one of as many picks, at any moment', (count) => {
    const pool = createPool(Array.from({ length: count }, (_, at) => slot(`e${at}`)))
    const policy = createPolicy('ROUND_ROBIN')
    const picked = Array.from({ length: 5 * count }, () => policy.choose(pool, ask(0)).id)
    for (let from = 0; from + count <= picked.length; from++) expect(new Set(picked.slice(from, from + count)).size).toBe(count)
  })

  test('spreads the turns of a heavy one', () => {
    expect(order([slot('a', { weight: 5 }), slot('b', { weight: 1 }), slot('c', { weight: 1 })], 14)).toBe('aacaabaaacaaba'.slice(0, 14))
    expect(order([slot('a', { weight: 2 }), slot('b', { weight: 1 })], 9)).toBe('aabaabaab')
  })

  test.each([1, 2, 3, 4])('keeps every share within a few picks of its weight, in two sets and while weights change, seed %i', (seed) => {
    const draw = seeded(seed * 977)
    const slots = weights(draw, 60)
    const [named, any] = [setOf(slots.slice(0, 23)), setOf(slots.slice(23))]
    const pool = new Pool([named, any])
    const policy = createPolicy('ROUND_ROBIN')
    const due = new Map(slots.map((one) => [one, 0]))
    for (let step = 0; step < 20_000; step++) {
      const whole = slots.reduce((sum, one) => sum + one.endpoint.weight, 0)
      for (const one of slots) due.set(one, (due.get(one) ?? 0) + one.endpoint.weight / whole)
      const one = policy.choose(pool, ask(0))
      due.set(one, (due.get(one) ?? 0) - 1)
      if (step % 2_000 !== 1_999) continue
      for (const owed of due.values()) expect(Math.abs(owed)).toBeLessThan(3 + step / 2_000)
      const at = Math.floor(draw() * 23)
      const changed = slots[at] as EndpointSlot
      changed.endpoint = { ...changed.endpoint, weight: draw() * 300 }
      named.weigh(at, weightOf(changed))
    }
  })

  test('goes round those without any weight', () => {
    expect(
      order(
        ['a', 'b', 'c'].map((id) => slot(id, { weight: 0 })),
        6,
      ),
    ).toBe('abcabc')
  })
})

describe('PEAK_EWMA', () => {
  const held = (id: string, latencyMs: number | undefined, pending: number): EndpointSlot => {
    const one = slot(id)
    one.inFlight = pending
    if (latencyMs !== undefined) one.firstByte.record(millis(latencyMs), millis(0))
    return one
  }
  test.each<readonly [string, number | undefined, number, number | undefined, number, string]>([
    ['10 ms × (3 + 1) before 50 ms × (0 + 1)', 10, 3, 50, 0, 'a'],
    ['50 ms × (0 + 1) before 10 ms × (5 + 1)', 10, 5, 50, 0, 'b'],
    ['one that nobody knows before all others', 1, 0, undefined, 0, 'b'],
    ['but not while its first answer is awaited', 900, 9, undefined, 1, 'a'],
    ['fewer requests, when nobody is known', undefined, 2, undefined, 1, 'b'],
  ])('asks %s', (_what, latencyA, pendingA, latencyB, pendingB, who) => {
    const pool = createPool([held('a', latencyA, pendingA), held('b', latencyB, pendingB)])
    const policy = createPolicy('PEAK_EWMA')
    for (let i = 1; i < 50; i++) expect(policy.choose(pool, ask(0, seeded(i))).id).toBe(who)
  })

  test('does not take a quick failure for quickness', () => {
    const [broken, slow] = [held('broken', 5, 0), held('slow', 200, 0)]
    const ledger = new Ledger()
    ledger.charge(broken, millis(0))
    ledger.settle(broken, 'failure', false, false, millis(1))
    const policy = createPolicy('PEAK_EWMA')
    expect(policy.choose(createPool([broken, slow]), ask(1)).id).toBe('slow')
  })
})

describe('PREQUAL', () => {
  const loaded = (id: string, latencyMs: number, inFlight: number): EndpointSlot => {
    const one = slot(id)
    one.inFlight = inFlight
    one.firstByte.record(millis(latencyMs), millis(0))
    return one
  }
  test.each<readonly [string, number, EndpointSlot[], string]>([
    ['the quickest of the cold', 2, [loaded('hot', 1, 3), loaded('cold', 90, 0), loaded('quick', 40, 0)], 'quick'],
    ['the least loaded, when all are hot', 2, [loaded('hot', 1, 5), loaded('less', 90, 3)], 'less'],
    ['one at the threshold is cold', 3, [loaded('at', 5, 3), loaded('above', 1, 4)], 'at'],
  ])('of its probes it chooses %s', (_what, hotAbove, slots, who) => {
    const probes = new Probes()
    for (const one of slots) probes.add(one, 1, millis(0))
    probes.weigh(hotAbove, millis(0))
    expect(probes.useBest().id).toBe(who)
  })

  test.each([
    [10, 0.5, 16],
    [16, 0.5, 16],
    [24, 0.5, 16],
    [32, 0, 4],
    [1_600, 0, 1],
    [1_600, 0.99, 2],
  ])('of %i endpoints, with a draw of %d, a probe is used %i times', (size, draw, uses) => {
    expect(reuse(size, draw)).toBe(uses)
  })

  test('never chooses an endpoint that went elsewhere since it was looked at', () => {
    const slots = Array.from({ length: 40 }, (_, at) => slot(`e${at}`))
    const set = setOf(slots)
    const pool = new Pool([set])
    const policy = createPolicy('PREQUAL')
    const draw = seeded(12)
    while (set.slots.length > 1) {
      for (let i = 0; i < 5; i++) expect(set.slots).toContain(policy.choose(pool, ask(0, draw)))
      const leaves = set.slots[0] as EndpointSlot
      leaves.moves++
      set.removeAt(0)
    }
  })
})

test('a recent quantile is one of the values seen lately', () => {
  const quantile = new RecentQuantile(0.84)
  expect(quantile.value).toBe(Number.POSITIVE_INFINITY)
  for (let value = 1; value <= 128; value++) quantile.note(value)
  expect(quantile.value).toBeGreaterThanOrEqual(110)
  expect(quantile.value).toBeLessThanOrEqual(120)
  for (let i = 0; i < 80; i++) quantile.note(3)
  expect(quantile.value).toBe(3)
})
