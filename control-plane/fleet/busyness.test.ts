import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { type Busyness, nextBusyAt, stepBusyness } from './busyness.ts'
import { NO_OUTCOMES } from './proxy-views.ts'

/** Backpressures and successes in the window, a second apart. */
function play(...said: readonly (readonly [number, number])[]): string {
  let busy: Busyness
  return said
    .map(([backpressures, successes], at) => {
      busy = stepBusyness(busy, { ...NO_OUTCOMES, backpressures, successes }, millis(at * 1000))
      return busy === undefined ? '.' : 'B'
    })
    .join('')
}
const MANY = limits.busyBackpressures

test.each([
  ['now and then one is turned away', [[MANY - 1, 0]], '.'],
  ['fewer than are served', [[MANY, MANY + 1]], '.'],
  ['as many as are served', [[MANY, MANY]], 'B'],
  [
    'it lasts a while',
    [
      [MANY, 0],
      [0, 0],
      [0, 0],
      [0, 0],
    ],
    'BBB.',
  ],
  [
    'it ends at a lower edge than it began at',
    [
      [MANY, 0],
      [4, 8],
      [4, 8],
      [4, 8],
      [2, 8],
    ],
    'BBBB.',
  ],
  [
    'it begins anew',
    [
      [MANY, 0],
      [0, 0],
      [0, 0],
      [0, 0],
      [MANY, 0],
    ],
    'BBB.B',
  ],
] as const)('%s', (_name, said, seen) => {
  expect(play(...said)).toBe(seen)
})

test('it says when to look again', () => {
  expect(nextBusyAt({ seenAt: millis(5) }, millis(5))).toBe(5 + limits.busyDwell)
  expect(nextBusyAt({ seenAt: millis(5) }, millis(90_000))).toBe(90_000 + limits.busyDwell / 4)
  expect(nextBusyAt(undefined, millis(5))).toBeUndefined()
})
