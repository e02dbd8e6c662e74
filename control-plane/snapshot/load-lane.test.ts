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

test('loads go at most once a period, the latest of each with its age', () => {
  const lane = new LoadLane()
  const told = (at: number) => lane.takeDue(millis(at)).map(({ endpointId, load, ageMs }) => [endpointId, load?.queueDepth, ageMs])
  lane.note('a', { queueDepth: 1 }, millis(0))
  expect(told(0)).toEqual([['a', 1, 0]])
  lane.note('a', { queueDepth: 7 }, millis(100))
  lane.note('a', { queueDepth: 9 }, millis(200))
  expect(told(240)).toEqual([])
  expect(told(260)).toEqual([['a', 9, 60]])
  expect(told(900)).toEqual([])
})

test('a load that does not change is told again before its age means silence', () => {
  const lane = new LoadLane()
  let told = 0
  for (let at = 0; at < 10_000; at += 500) {
    lane.note('a', { queueDepth: 5 }, millis(at))
    told += lane.takeDue(millis(at)).length
  }
  expect(told).toBe(10_000 / limits.loadRefreshPeriod)
})

test('a load that becomes unknown is not told any more', () => {
  const lane = new LoadLane()
  lane.note('a', { queueDepth: 5 }, millis(0))
  lane.note('a', undefined, millis(10))
  expect(lane.takeDue(millis(20))).toEqual([])
  expect(lane.newest('a')).toBeUndefined()
})
