import { expect, test } from 'vitest'
import { millis } from '../../core/units.ts'
import { FULL_QUERY, queryArguments, withoutField } from './query.ts'

test('the name is asked for last, because it may hold commas', () => {
  expect(FULL_QUERY.at(-1)?.name).toBe('name')
  expect(queryArguments(FULL_QUERY, millis(250))).toEqual([
    expect.stringMatching(/^--query-gpu=index,uuid,.*,gpu_recovery_action,pstate,pci\.bus_id,name$/),
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

test.each([
  [
    'below 450',
    ['mig.mode.current', 'remapped_rows.pending', 'gpu_recovery_action', 'clocks_event_reasons.active'],
    4,
    ['clocks_throttle_reasons.active'],
  ],
  ['450 to 525', ['gpu_recovery_action', 'clocks_event_reasons.active'], 2, ['clocks_throttle_reasons.active', 'mig.mode.current']],
  ['535 to 565', ['gpu_recovery_action'], 1, ['clocks_event_reasons.active', 'remapped_rows.pending']],
  ['since 570', [], 0, ['gpu_recovery_action']],
])('a driver %s is asked for all that it knows', (_, unknown, refusals, kept) => {
  let query = FULL_QUERY
  let refused = 0
  for (;;) {
    const first = query.find(({ name }) => unknown.includes(name))
    if (first === undefined) break
    query = withoutField(query, first.name) ?? []
    refused++
  }
  expect(refused).toBe(refusals)
  expect(query.map(({ name }) => name)).toEqual(expect.arrayContaining(['index', 'uuid', 'utilization.gpu', 'pci.bus_id', 'name', ...kept]))
})

test.each(['uuid', 'index', 'gpu_bus_id', 'never.asked'])('there is no query without %s', (name) => {
  expect(withoutField(FULL_QUERY, name)).toBeUndefined()
})

test('a driver that refuses every field is given up after a bounded number of tries', () => {
  let query: typeof FULL_QUERY | undefined = FULL_QUERY
  let tries = 0
  for (; query !== undefined && tries < 100; tries++) query = withoutField(query, query[2]?.name ?? 'uuid')
  expect(tries).toBeLessThan(25)
})
