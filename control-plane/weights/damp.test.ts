import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { type Damped, nextRiseAt, stepDamped, WHOLE } from './damp.ts'

/** What the factor was said to be at which second; answers what proxies were told. */
function play(...said: readonly (readonly [number, number])[]): readonly number[] {
  let damped: Damped = WHOLE
  return said.map(([at, raw]) => {
    damped = stepDamped(damped, raw, millis(at * 1000))
    return damped.value
  })
}

test.each([
  [
    'a fall is told at once',
    [
      [1, 0.75],
      [2, 0.25],
    ],
    [0.75, 0.25],
  ],
  [
    'a fall that is nothing is not',
    [
      [1, 0.97],
      [2, 0.94],
    ],
    [1, 0.94],
  ],
  [
    'nothing at all is nothing at once',
    [
      [1, 0.04],
      [2, 0],
    ],
    [0.04, 0],
  ],
  [
    'a rise waits, and goes in steps',
    [
      [0, 0.25],
      [5, 1],
      [10, 1],
      [15, 1],
      [20, 1],
      [30, 1],
    ],
    [0.25, 0.25, 0.5, 0.5, 0.75, 1],
  ],
  [
    'what flutters stays down',
    [
      [0, 0.7],
      [4, 1],
      [8, 0.7],
      [9, 1],
      [12, 0.68],
      [18, 1],
      [21, 1],
      [23, 1],
    ],
    [0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.95],
  ],
  [
    'it never rises above what it is',
    [
      [0, 0.5],
      [20, 0.6],
      [40, 0.6],
    ],
    [0.5, 0.6, 0.6],
  ],
] as const)('%s', (_name, said, told) => {
  expect(play(...said)).toEqual(told)
})

test('it says when it will rise by itself', () => {
  expect(nextRiseAt({ value: 0.5, movedAt: millis(1_000) }, 0.75)).toBe(1_000 + limits.weightRiseDwell)
  expect(nextRiseAt({ value: 0.5, movedAt: millis(1_000) }, 0.5)).toBeUndefined()
})
