/** LEAST_WAIT by worked examples: what two endpoints are known to hold, and who is chosen. */
import { describe, expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import type { LoadVector } from '../../core/load-vector.ts'
import type { Endpoint } from '../../core/mesh-snapshot.ts'
import { millis } from '../../core/units.ts'
import { ask, seeded, shares, slot, tell } from '../testing/slots.ts'
import type { EndpointSlot } from './endpoint-slot.ts'
import { expectedWait, requestsAhead, signalOf } from './expected-wait.ts'
import { leastWait } from './least-wait.ts'
import { Ledger } from './ledger.ts'
import { createPool } from './pool.ts'

const NOW = 10_000

type Known = Partial<Endpoint> & {
  readonly load?: LoadVector
  readonly ageMs?: number
  /** Sent by us long before the sample, and since; of these, how many were answered at least in part. */
  readonly held?: number
  readonly since?: number
  readonly begun?: number
  readonly firstByteMs?: number
}

function known(id: string, { load, ageMs = 0, held = 0, since = 0, begun = 0, firstByteMs, ...more }: Known): EndpointSlot {
  const one = slot(id, more)
  const ledger = new Ledger()
  for (let i = 0; i < held; i++) ledger.charge(one, millis(0))
  if (load !== undefined) tell(one, load, NOW - ageMs)
  for (let i = 0; i < since; i++) ledger.charge(one, millis(NOW))
  for (let i = 0; i < begun; i++) ledger.answered(one)
  if (firstByteMs !== undefined) one.firstByte.record(millis(firstByteMs), millis(NOW))
  return one
}

/** Who is chosen nearly always. */
function chosen(a: Known, b: Known): string {
  const pool = createPool([known('a', a), known('b', b)])
  const policy = leastWait()
  const draw = seeded(3)
  const { a: ofA = 0, b: ofB = 0 } = shares(200, () => policy.choose(pool, ask(NOW, draw)))
  return ofA > 190 ? 'a' : ofB > 190 ? 'b' : 'either'
}

const idle: LoadVector = { queueDepth: 0, running: 0 }
const full = (queueDepth: number): LoadVector => ({ queueDepth, running: 4 })

describe('of two endpoints, the one chosen is', () => {
  test.each<readonly [string, Known, Known, string]>([
    ['the one without a queue', { load: full(9) }, { load: full(0) }, 'b'],
    ['the one with the shorter queue', { load: full(9) }, { load: full(3) }, 'b'],
    ['the one that works a long queue off sooner', { load: full(9), weight: 400 }, { load: full(3) }, 'a'],
    ['the one to whom nothing was sent since its report', { load: full(1), since: 3 }, { load: full(1) }, 'b'],
    [
      'the one with a free place, though it runs more',
      { load: { queueDepth: 0, running: 12 }, capacity: 16 },
      { load: full(0), capacity: 4 },
      'a',
    ],
    ['the one whose KV cache is not full', { load: { ...full(0), kvCacheUse: 0.97 } }, { load: { ...full(0), kvCacheUse: 0.3 } }, 'b'],
    [
      'the one with room in its KV cache, behind a short queue',
      { load: { ...idle, kvCacheUse: 0.95 } },
      { load: { ...full(1), kvCacheUse: 0 } },
      'b',
    ],
    ['the one with fewer of our requests, when neither waits', { load: full(0), held: 3 }, { load: full(0), held: 1 }, 'b'],
    [
      'the one whose first bytes come sooner, when all else is alike',
      { load: idle, firstByteMs: 90 },
      { load: idle, firstByteMs: 40 },
      'b',
    ],
    ['the one whose report is fresh, though it has a queue', { load: idle, ageMs: 9_000 }, { load: full(9) }, 'b'],
    [
      'the one with fewer requests, when both reports are too old',
      { load: idle, ageMs: 9_000, held: 3 },
      { load: full(9), ageMs: 9_000 },
      'b',
    ],
    ['the one with fewer requests, when one tells nothing', { held: 3 }, { load: full(2) }, 'b'],
    ['the one with fewer requests, when neither tells anything', { held: 3 }, {}, 'b'],
    ['not the one that says it is idle while we hold ten', { load: idle, held: 10 }, { load: { queueDepth: 0, running: 3 }, held: 3 }, 'b'],
    [
      'the one that answers three of ours, not the one where one waits for its answer',
      { load: full(0), capacity: 8, held: 1 },
      { load: full(0), capacity: 8, held: 3, begun: 3 },
      'b',
    ],
    ['the same without reports', { held: 1 }, { held: 3, begun: 3 }, 'b'],
    [
      'the one that had a short queue a second ago and places to spare, since that has been read by now',
      { load: full(2), ageMs: 1_000, capacity: 8 },
      { load: full(0), ageMs: 1_000, capacity: 8, since: 2 },
      'a',
    ],
    [
      'not that one, when its memory is short: then it is memory that they wait for',
      { load: { ...full(2), kvCacheUse: 0.8 }, ageMs: 1_000, capacity: 8, weight: 1 },
      { load: full(0), ageMs: 1_000, capacity: 8, since: 2 },
      'b',
    ],
    [
      'either, when old reports differ by less than their ages',
      { load: full(1), ageMs: 1_500, weight: 1_000 },
      { load: idle, ageMs: 1_500, weight: 1_000 },
      'either',
    ],
  ])('%s', (_who, a, b, who) => {
    expect(chosen(a, b)).toBe(who)
    expect(chosen(b, a), 'whichever comes first').toBe(who === 'either' ? who : who === 'a' ? 'b' : 'a')
  })
})

test.each<readonly [string, Known, number]>([
  ['its queue at the sample', { load: { queueDepth: 5 } }, 5],
  ['and what was sent since', { load: { queueDepth: 5 }, since: 2 }, 7],
  ['and the request itself, where it is known that no place is free', { load: full(5) }, 6],
  ['less its free places', { load: full(0), capacity: 8, since: 2 }, -1],
  ['what we sent before the sample is in it', { load: full(2), held: 6, capacity: 4 }, 3],
  ['in a queue beside free places it passes as its report ages', { load: full(3), capacity: 12, ageMs: 500 }, 0],
  ['what the sample does not hold yet is ours all the same', { load: idle, held: 2, since: 3, capacity: 4 }, 2],
])('requests ahead are %s', (_what, about, ahead) => {
  expect(requestsAhead(known('a', about), millis(NOW))).toBe(ahead)
})

test('a wait is requests by pace, and a KV cache that fills weighs ever more', () => {
  expect(expectedWait(known('a', { load: { queueDepth: 6 } }), 2, millis(NOW))).toBe(3)
  const wait = (kvCacheUse: number) => expectedWait(known('a', { load: { queueDepth: 0, kvCacheUse } }), 2, millis(NOW))
  expect([wait(0), wait(0.5), wait(0.9)].map((seconds) => Math.round(seconds * 100) / 100)).toEqual([0, 0.15, 1.35])
  expect(wait(7), 'a use that cannot be').toBeCloseTo(149.85)
})

test('a server that was shown to be four times as fast is taken for that', () => {
  const [slow, quick] = [slot('slow', { capacity: 4 }), slot('quick', { capacity: 4 })]
  for (let at = 0; at <= NOW; at += 500) {
    tell(slow, { queueDepth: 1, running: 4, requestsPerSecond: 2 }, at)
    tell(quick, { queueDepth: 1, running: 4, requestsPerSecond: 8 }, at)
  }
  tell(slow, full(4), NOW)
  tell(quick, full(12), NOW)
  const policy = leastWait()
  const pool = createPool([slow, quick])
  const draw = seeded(8)
  for (let i = 0; i < 100; i++) expect(policy.choose(pool, ask(NOW, draw))).toBe(quick)
})

test.each([
  ['the one with fewer requests for its weight, while both have places to spare', { queueDepth: 0, running: 1 }, 'slow'],
  ['the quicker one, when memory runs short', { queueDepth: 0, running: 1, kvCacheUse: 0.7 }, 'quick'],
])('of two that differ in pace alone, the one chosen is %s', (_what, load, expected) => {
  const [slow, quick] = [slot('slow', { capacity: 4 }), slot('quick', { capacity: 4 })]
  for (let at = 0; at <= NOW; at += 500) {
    tell(slow, { queueDepth: 0, running: 1, requestsPerSecond: 2 }, at)
    tell(quick, { queueDepth: 0, running: 1, requestsPerSecond: 8 }, at)
  }
  const ledger = new Ledger()
  ledger.charge(quick, millis(0))
  for (const one of [slow, quick]) tell(one, load, NOW)
  const policy = leastWait()
  const draw = seeded(4)
  const chosen = shares(200, () => policy.choose(createPool([slow, quick]), ask(NOW, draw)))
  expect(chosen[expected]).toBeGreaterThan(190)
})

test.each<readonly [string, Known, string]>([
  ['fresh, when it was told just now', { load: idle }, 'fresh'],
  ['too old, after a while', { load: idle, ageMs: limits.loadAgeMax + 1 }, 'stale'],
  ['too old, when nobody heard of the endpoint', { load: idle, freshness: 'stale' }, 'stale'],
  ['none, when nothing was told', {}, 'none'],
  ['none, when its server does not tell its queue', { load: { running: 3 } }, 'none'],
  ['none, when it contradicts what we hold there', { load: idle, held: 8 }, 'none'],
])('a signal is %s', (_what, about, signal) => {
  expect(signalOf(known('a', about), millis(NOW))).toBe(signal)
})

test('of many, those that would have to be waited for are left out while one is free', () => {
  const busy = Array.from({ length: 9 }, (_, at) => known(`busy-${at}`, { load: full(9), capacity: 4 }))
  const free = known('free', { load: idle, capacity: 4 })
  const pool = createPool([...busy, free])
  const policy = leastWait()
  const draw = seeded(6)
  const { free: found = 0 } = shares(2_000, () => policy.choose(pool, ask(NOW, draw)))
  expect(found / 2_000, 'five draws find one of ten in 41 of 100 picks, two in 19').toBeGreaterThan(0.35)
})
