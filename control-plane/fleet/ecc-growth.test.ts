import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { type EccGrowth, eccMark, nextEccAt, stepEccGrowth } from './ecc-growth.ts'

const HOUR = 3_600_000
const at = (hours: number) => millis(hours * HOUR)
const { eccCorrectedPerHour: FREE, eccCorrectedSlower: SLOWER, eccCorrectedLeave: LEAVE } = limits

/** Hours and the count that was told then. */
function told(...said: readonly (readonly [number, number | undefined])[]): EccGrowth | undefined {
  return said.reduce<EccGrowth | undefined>(
    (growth, [hours, count]) => stepEccGrowth(growth, count === undefined ? undefined : BigInt(count), at(hours)),
    undefined,
  )
}

const second = 1 / 3_600

test.each<[string, readonly (readonly [number, number | undefined])[], string]>([
  ['nothing is told', [[0, undefined]], 'none'],
  ['many from before we came', [[0, 90_000]], 'none'],
  [
    'a few',
    [
      [0, 0],
      [second, SLOWER - 1],
    ],
    'none',
  ],
  [
    'a burst',
    [
      [0, 0],
      [second, SLOWER + 1],
    ],
    'slower',
  ],
  [
    'a large burst',
    [
      [0, 0],
      [second, LEAVE + 1],
    ],
    'leave',
  ],
  [
    'as many an hour as are free, for hours',
    Array.from({ length: 180 }, (_, minute) => [minute / 60, (minute * FREE) / 60] as const),
    'none',
  ],
  [
    'a count of the whole life that grows by little',
    [
      [0, 5_000_000],
      [second, 5_000_000 + SLOWER - 1],
    ],
    'none',
  ],
  [
    'a count of the whole life that grows by much',
    [
      [0, 5_000_000],
      [second, 5_000_000 + SLOWER],
    ],
    'slower',
  ],
  [
    'the counter began anew: a reset, or the driver was loaded again',
    [
      [0, 0],
      [second, LEAVE],
      [2 * second, 0],
    ],
    'none',
  ],
  [
    'anew with errors already: of when they are is unknown',
    [
      [0, 0],
      [second, LEAVE],
      [2 * second, LEAVE - 1],
    ],
    'none',
  ],
  [
    'it grows on behind the new beginning',
    [
      [0, 500],
      [second, 0],
      [2 * second, SLOWER],
    ],
    'slower',
  ],
  [
    'it cannot be read for a while',
    [
      [0, 0],
      [second, SLOWER + 1],
      [2 * second, undefined],
    ],
    'slower',
  ],
])('%s', (_name, said, mark) => {
  expect(eccMark(told(...said), at(said.at(-1)?.[0] ?? 0))).toBe(mark)
})

test('growth above the free rate passes one mark and then the other', () => {
  const perHour = FREE + LEAVE
  const hours = Array.from({ length: 121 }, (_, minute) => minute / 60)
  const marks = hours.map((hour, now) =>
    eccMark(told(...hours.slice(0, now + 1).map((one) => [one, Math.round(one * perHour)] as const)), at(hour)),
  )
  expect(marks.filter((mark, now) => mark !== marks[now - 1])).toEqual(['none', 'slower', 'leave'])
  expect(marks.indexOf('leave')).toBeGreaterThan(marks.indexOf('slower') * 5)
})

test('a mark holds until the bucket is half empty, and says when that is', () => {
  const growth = told([0, 0], [second, LEAVE + 5_000])
  const halfway = nextEccAt(growth, at(second)) as number
  expect(halfway / HOUR).toBeCloseTo(second + LEAVE / 2 / FREE, 4)
  expect([eccMark(growth, millis(halfway - 1_000)), eccMark(growth, millis(halfway))]).toEqual(['leave', 'slower'])
  const end = nextEccAt(growth, millis(halfway)) as number
  expect([eccMark(growth, millis(end - 1_000)), eccMark(growth, millis(end))]).toEqual(['slower', 'none'])
  expect(nextEccAt(growth, millis(end))).toBeUndefined()
})

test('growth that flutters about its mark changes nothing', () => {
  const said: (readonly [number, number])[] = [
    [0, 0],
    [second, SLOWER],
  ]
  const marks = [5, 10, 15, 20].map((minute) => {
    const before = eccMark(told(...said), at(minute / 60 - second))
    said.push([minute / 60, SLOWER + minute * (FREE / 60 - 0.2)])
    return [before, eccMark(told(...said), at(minute / 60))]
  })
  expect(new Set(marks.flat())).toEqual(new Set(['slower']))
})

test('a count that is told again stays the object that it was', () => {
  const growth = told([0, 7])
  expect(stepEccGrowth(growth, 7n, at(1))).toBe(growth)
})
