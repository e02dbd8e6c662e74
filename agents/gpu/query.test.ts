import { expect, test } from 'vitest'
import { millis } from '../../core/units.ts'
import { FULL_QUERY, queryArguments, withoutField } from './query.ts'

test('the name is asked for last, because it may hold commas', () => {
  expect(FULL_QUERY.at(-1)?.name).toBe('name')
  expect(queryArguments(FULL_QUERY, millis(250))).toEqual([
    expect.stringMatching(/^--query-gpu=index,uuid,.*,gpu_recovery_action,name$/),
    '--format=csv,noheader,nounits',
    '-lms',
    '250',
  ])
})

test('a refused field gives way to its older name, then to nothing, and the others keep their places', () => {
  const older = withoutField(FULL_QUERY, 'clocks_event_reasons.active') ?? []
  expect(older.map(({ column }) => column)).toEqual(FULL_QUERY.map(({ column }) => column))
  expect(older.map(({ name }) => name)).toContain('clocks_throttle_reasons.active')
  const without = withoutField(older, 'clocks_throttle_reasons.active') ?? []
  expect(without.map(({ column }) => column)).toEqual(FULL_QUERY.map(({ column }) => column).filter((one) => one !== 'throttleReasons'))
})

test.each(['uuid', 'index', 'never.asked'])('there is no query without %s', (name) => {
  expect(withoutField(FULL_QUERY, name)).toBeUndefined()
})

test('a driver that refuses every field is given up after a bounded number of tries', () => {
  let query: typeof FULL_QUERY | undefined = FULL_QUERY
  let tries = 0
  for (; query !== undefined && tries < 100; tries++) query = withoutField(query, query[2]?.name ?? 'uuid')
  expect(tries).toBeLessThan(25)
})
