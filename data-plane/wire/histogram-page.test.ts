import { expect, test } from 'vitest'
import { millis } from '../../core/units.ts'
import { WAIT_BOUNDS_MS, WaitTally } from '../admission/wait-tally.ts'
import { AGE_BOUNDS_MS, SignalAges } from '../routing/signal-ages.ts'
import { histogramPage } from './histogram-page.ts'

const pageOf = (name: string, totals: Readonly<Record<string, number>>): readonly string[] =>
  histogramPage((total) => totals[total] ?? 0)
    .split('\n')
    .filter((row) => row.includes(name))

test('waits are a histogram: each bucket holds those before it, and the last one all', () => {
  const tally = new WaitTally()
  for (const ms of [0, 1, 1.5, 30, 60_000]) tally.add(ms)
  const totals: Record<string, number> = { 'wait-ms': tally.sumMs }
  for (const [at, count] of tally.counts.entries()) totals[`waited.${at}`] = count
  const rows = pageOf('millrace_queue_wait_seconds', totals)
  expect(rows[1]).toBe('# TYPE millrace_queue_wait_seconds histogram')
  const buckets = rows.filter((row) => row.includes('_bucket'))
  expect(buckets).toHaveLength(WAIT_BOUNDS_MS.length + 1)
  expect([buckets[0], buckets[1], buckets[4], buckets.at(-1)].map((row) => row?.split('{')[1])).toEqual([
    'le="0.001"} 2',
    'le="0.005"} 3',
    'le="0.05"} 4',
    'le="+Inf"} 5',
  ])
  expect(rows.slice(-2)).toEqual(['millrace_queue_wait_seconds_sum 60.0325', 'millrace_queue_wait_seconds_count 5'])
})

test('ages of signals are one, and those that are unknown are in none of its buckets', () => {
  const ages = new SignalAges()
  for (const age of [0, 50, 51, 1_999, 2_001, 90_000, undefined]) ages.note(age === undefined ? undefined : millis(age))
  expect([...ages.counts]).toEqual([2, 1, 0, 0, 0, 1, 1, 0, 1])
  expect([ages.unknown, ages.sumMs]).toEqual([1, 94_101])
  const totals = Object.fromEntries([...ages.counts].map((count, at) => [`signal-age.${at}`, count]))
  const rows = pageOf('millrace_signal_age_seconds', { ...totals, 'signal-age-ms': ages.sumMs })
  expect(rows.filter((row) => row.includes('_bucket'))).toHaveLength(AGE_BOUNDS_MS.length + 1)
  expect(rows.slice(-2)).toEqual(['millrace_signal_age_seconds_sum 94.101', 'millrace_signal_age_seconds_count 6'])
})
