import { describe, expect, test } from 'vitest'
import type { LoadVector } from '../../../core/load-vector.ts'
import type { Endpoint } from '../../../core/mesh-snapshot.ts'
import { millis } from '../../../core/units.ts'
import { EndpointSlot } from '../../../data-plane/routing/endpoint-slot.ts'
import { createPool } from '../../../data-plane/routing/pool.ts'
import { seededDraw } from '../../model-server/queue.ts'
import type { Prompt } from '../workload/arrival.ts'
import { RIVAL_NAMES, RIVALS } from './all.ts'
import { scoresOf } from './epp.ts'
import { decayed } from './peak-ewma.ts'
import { hotCold, hotThreshold, type Probe, reuseLimit, worst } from './prequal.ts'
import type { RivalAsk } from './rival.ts'
import { chooseAware } from './smg-cache-aware.ts'
import { expectedSeconds, withUnknown } from './smg-expected-wait.ts'

const slot = (id: string, weight = 100, load?: LoadVector): EndpointSlot => {
  const endpoint: Endpoint = {
    id,
    node: id,
    zone: '',
    address: '127.0.0.1:1',
    protocol: 'KSERVE_GRPC',
    models: ['*'],
    weight,
    state: 'READY',
    freshness: 'fresh',
    capacity: 0,
  }
  const one = new EndpointSlot(endpoint)
  if (load !== undefined) one.report({ load, sampledAt: millis(0) })
  return one
}
const prompt = (tokens: number, session = 1, historyTokens = 0): Prompt => ({ tokens, system: 0, systemTokens: 0, session, historyTokens })
const ask = (draw = seededDraw(1), of = prompt(64)): RivalAsk => ({ now: millis(0), draw, excluded: [], asked: of })

describe.each(RIVAL_NAMES)('%s', (name) => {
  test('answers an endpoint of the pool, and the only one when there is one', () => {
    const rival = RIVALS[name]()
    const slots = ['a', 'b', 'c'].map((id) => slot(id))
    const asked = ask()
    for (let i = 0; i < 200; i++) {
      const chosen = rival.choose(createPool(slots), asked)
      expect(slots).toContain(chosen)
      rival.onSent?.(chosen, asked)
    }
    const lone = slot('z', 0)
    expect(RIVALS[name]().choose(createPool([lone]), ask())).toBe(lone)
  })
})

test('round robin by weight interleaves: 5, 1, 1 is a a b a c a a', () => {
  const rival = RIVALS['capacity-rr']()
  const pool = createPool([slot('a', 5), slot('b', 1), slot('c', 1)])
  expect(Array.from({ length: 7 }, () => rival.choose(pool, ask()).id).join('')).toBe('aabacaa')
})

test('least request takes the one with fewer of our own, of two', () => {
  const [busy, idle] = [slot('busy'), slot('idle')]
  busy.inFlight = 3
  const rival = RIVALS['least-request-p2c']()
  for (let i = 0; i < 50; i++) expect(rival.choose(createPool([busy, idle]), ask()).id).toBe('idle')
})

test('peak EWMA: a mean of 100 ms is 37 after its decay of 10 s, and a sample of 50 then makes 68', () => {
  expect(decayed({ ms: 100, at: 0 }, 0, 10_000)).toBeCloseTo(36.8, 1)
  expect(decayed({ ms: 100, at: 0 }, 50, 10_000)).toBeCloseTo(68.4, 1)
})

test('peak EWMA: twice as slow loses to one that has one request less than twice as many', () => {
  const [slow, quick] = [slot('slow'), slot('quick')]
  const rival = RIVALS['peak-ewma']()
  rival.onFirstToken?.(slow, 200, { now: millis(0) })
  rival.onFirstToken?.(quick, 100, { now: millis(0) })
  quick.inFlight = 0
  slow.inFlight = 0
  const pool = createPool([slow, quick])
  expect(rival.choose(pool, ask()).id).toBe('quick')
  quick.inFlight = 2 // 100 × 3 > 200 × 1
  expect(rival.choose(pool, ask()).id).toBe('slow')
})

describe('Prequal', () => {
  const probe = (id: string, inFlight: number, latencyMs: number): Probe => ({ slot: slot(id), inFlight, latencyMs, at: 0, uses: 0 })

  test('the threshold is the 0.84 quantile of what was probed', () => {
    expect(hotThreshold([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])).toBe(9)
  })

  test('of the cold the quickest; when all are hot, the one with the fewest requests', () => {
    const probes = [probe('a', 2, 90), probe('b', 3, 40), probe('c', 9, 10)]
    expect(hotCold(probes, 5).slot.id).toBe('b')
    expect(hotCold(probes, 1).slot.id).toBe('a')
  })

  test('removed is the hot one with the most requests, and without a hot one the slowest', () => {
    const probes = [probe('a', 2, 90), probe('b', 3, 40), probe('c', 9, 10)]
    expect(worst(probes, 5).slot.id).toBe('c')
    expect(worst(probes, 20).slot.id).toBe('a')
  })

  test('100 replicas: (1 + 1) / ((1 − 0.16) × 3 − 1) uses; where the pool holds the whole fleet a bound stands in', () => {
    expect(reuseLimit(100)).toBeCloseTo(2 / 1.52)
    expect(reuseLimit(10)).toBe(16)
  })
})

describe('EPP', () => {
  test('queue 2, KV 2, prefix 3: each from 0 to 1', () => {
    const scores = scoresOf([
      { queue: 0, kvCacheUse: 0.5, prefix: 0 },
      { queue: 5, kvCacheUse: 0.1, prefix: 1 },
      { queue: 10, kvCacheUse: 0, prefix: 0 },
    ])
    expect(scores.map((score) => Number(score.toFixed(6)))).toEqual([3, 5.8, 2])
  })

  test('equal queues score 1 each', () => {
    expect(scoresOf([{ queue: 4, kvCacheUse: 1, prefix: 0 }])).toEqual([2])
  })

  test('a prompt goes where its beginning was sent before, and not to one above the limits while there are others', () => {
    const rival = RIVALS.epp()
    const slots = ['a', 'b', 'c', 'd'].map((id) => slot(id, 100, { queueDepth: 0, kvCacheUse: 0.2 }))
    const first = rival.choose(createPool(slots), ask())
    expect(rival.choose(createPool(slots), ask(seededDraw(9), prompt(96, 1, 64)))).toBe(first)
    first.report({ load: { queueDepth: 6, kvCacheUse: 0.2 }, sampledAt: millis(0) })
    expect(rival.choose(createPool(slots), ask(seededDraw(9), prompt(96, 1, 64)))).not.toBe(first)
  })
})

describe('SMG cache-aware', () => {
  const first = (): number => 0

  test.each([
    ['even loads, a match of more than 0.3: the match', [10, 20, 30], [0, 0.4, 0.31], 1],
    ['even loads, no match of more than 0.3: least load', [10, 20, 30], [0, 0.3, 0.1], 0],
    ['a difference above 64 at more than 1.5 times: least load', [10, 80, 30], [0, 0.9, 0], 0],
    ['a difference above 64 at less than 1.5 times: the match', [200, 270, 250], [0, 0.9, 0], 1],
    ['twice as much at a difference below 64: the match', [10, 70, 30], [0, 0.9, 0], 1],
  ])('%s', (_, loads, matched, chosen) => {
    expect(chooseAware(loads, matched, first)).toBe(chosen)
  })
})

describe('SMG expected wait', () => {
  test('(2 × 1,024 waiting + 952 sent) / 1,500 per second + 0.15 × 0.5 / 0.5', () => {
    expect(expectedSeconds({ queueDepth: 2, sentTokens: 952, tokensPerSecond: 1_500, kvCacheUse: 0.5 })).toBeCloseTo(2.15)
  })

  test('a full cache counts as 0.999: 150 seconds more', () => {
    expect(expectedSeconds({ queueDepth: 0, sentTokens: 0, tokensPerSecond: 2_000, kvCacheUse: 1 })).toBeCloseTo(149.85)
  })

  test('who did not report scores as the best peer and its own requests over the fleet; a dark fleet joins the shortest queue', () => {
    expect(withUnknown([1.5, 0.5, undefined], [0, 0, 2], 4_096)).toEqual([1.5, 0.5, 1])
    expect(withUnknown([undefined, undefined], [3, 1], 0)).toEqual([3, 1])
  })
})
