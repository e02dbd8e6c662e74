import { expect, test } from 'vitest'
import { limits } from './limits.ts'
import { fleetSpread, redialWait } from './spread.ts'
import { millis } from './units.ts'

test.each([
  [0, 0],
  [30, 15],
  [2_000, 1_000],
  [10_000, 5_000],
  [100_000, limits.fleetSpreadMax],
  [undefined, 500],
])('a fleet of %s takes turns over %s ms', (nodes, ms) => {
  expect(fleetSpread(nodes)).toBe(ms)
})

const most = (attempt: number, spread: number): number => Math.round(redialWait(attempt, 0.999_999, millis(spread), millis(5_000)))

test('each attempt in vain doubles the span of the wait, up to its bound', () => {
  expect([1, 2, 3, 4, 5, 1_000].map((attempt) => most(attempt, 0))).toEqual([1_000, 2_000, 4_000, 5_000, 5_000, 5_000])
})

test('a large fleet spreads from the first attempt on', () => {
  expect([1, 2, 3].map((attempt) => most(attempt, 3_000))).toEqual([3_000, 3_000, 4_000])
  expect(redialWait(1, 0, millis(3_000), millis(5_000))).toBe(0)
})
