import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { LoadLane, pastDeadband, quantise } from './load-lane.ts'

test('unknown stays unknown, idle stays idle, and a little load is not idle', () => {
  expect(quantise({ running: 0, queueDepth: 0.2 })).toEqual({ running: 0, queueDepth: 1 })
  expect(quantise({ kvCacheUse: 0.731, tokensPerS: 4_321 })).toEqual({ kvCacheUse: 0.74, tokensPerS: 4_352 })
})

test.each([
  [{ queueDepth: 3 }, { queueDepth: 3.4 }, false],
  [{ queueDepth: 3 }, { queueDepth: 4 }, true],
  [{ queueDepth: 1_000 }, { queueDepth: 1_010 }, false],
  [{ queueDepth: 1_000 }, { queueDepth: 1_100 }, true],
  [{ running: 1 }, { running: 0 }, true],
  [{}, { running: 0 }, true],
  [{ running: 0 }, {}, true],
  [{ kvCacheUse: 0.5 }, { kvCacheUse: 0.51 }, false],
  [{ kvCacheUse: 0.5 }, { kvCacheUse: 0.53 }, true],
])('from %o to %o is worth telling: %s', (sent, load, worth) => {
  expect(pastDeadband(sent, load)).toBe(worth)
})

/** What was told at that time, as `[id, queue depth, age]`. */
const tellingOf =
  (lane: LoadLane, waits = (_id: string): boolean => false) =>
  (at: number) =>
    lane.takeDue(limits.calmPushPeriod, millis(at), waits).map(({ endpointId, load, ageMs }) => [endpointId, load?.queueDepth, ageMs])

test('loads go at most once a period, the latest of each with its age', () => {
  const lane = new LoadLane()
  const told = tellingOf(lane)
  lane.note('a', { queueDepth: 1 }, millis(0))
  expect(told(0)).toEqual([['a', 1, 0]])
  lane.note('a', { queueDepth: 7 }, millis(100))
  lane.note('a', { queueDepth: 9 }, millis(200))
  expect(told(240)).toEqual([])
  expect(told(260)).toEqual([['a', 9, 60]])
  expect(told(900)).toEqual([])
})

test.each([
  ['holds', 1],
  ['repeated', 10_000 / limits.loadRefreshPeriod],
  ['ages', 10_000 / limits.loadRefreshPeriod],
] as const)('a load that does not move and %s is told %i times in ten seconds', (keeping, times) => {
  const lane = new LoadLane()
  const told = tellingOf(lane)
  let count = 0
  for (let at = 0; at < 10_000; at += 500) {
    lane.note('a', { queueDepth: 5 }, millis(at), keeping)
    count += told(at).length
  }
  expect(count).toBe(times)
})

test('a load that becomes unknown is told as such, once; one that always was too', () => {
  const lane = new LoadLane()
  const told = tellingOf(lane)
  lane.note('a', { queueDepth: 5 }, millis(0))
  lane.note('b', undefined, millis(0))
  expect(told(0)).toEqual([
    ['a', 5, 0],
    ['b', undefined, 0],
  ])
  for (const at of [300, 600]) for (const id of ['a', 'b']) lane.note(id, undefined, millis(at), 'repeated')
  expect([told(600), told(1_200)]).toEqual([[['a', undefined, 0]], []])
  expect(lane.newest('a')).toBeUndefined()
})

test('a large fleet is told in turns, and nothing is left out', () => {
  const lane = new LoadLane()
  const told = tellingOf(lane)
  for (let at = 0; at <= limits.loadRowsPerRound; at++) lane.note(`n${at}`, { queueDepth: 1 }, millis(0))
  expect([told(0).length, told(20).length, told(40).length]).toEqual([limits.loadRowsPerRound, 1, 0])
})

test('a load waits for its endpoint to be told, and holds up no other', () => {
  const lane = new LoadLane()
  lane.note('new', { queueDepth: 5 }, millis(0))
  lane.note('a', { queueDepth: 1 }, millis(0))
  expect(tellingOf(lane, (id) => id === 'new')(0)).toEqual([['a', 1, 0]])
  expect(tellingOf(lane)(300)).toEqual([['new', 5, 300]])
})

test('who missed rounds gets what was told in them, as it was told last', () => {
  const lane = new LoadLane()
  const told = tellingOf(lane)
  const since = (round: number, at: number) =>
    lane.since(round, millis(at)).map(({ endpointId, load, ageMs }) => [endpointId, load?.queueDepth, ageMs])
  for (const id of ['a', 'b', 'gone']) lane.note(id, { queueDepth: 2 }, millis(0))
  told(0)
  const before = lane.round
  lane.note('b', { queueDepth: 9.9 }, millis(300))
  lane.forget('gone')
  told(300)
  lane.note('a', { queueDepth: 2.4 }, millis(400))
  expect([since(before, 500), since(0, 500), since(lane.round, 500)]).toEqual([
    [['b', 10, 200]],
    [
      ['a', 2, 100],
      ['b', 10, 200],
    ],
    [],
  ])
})
