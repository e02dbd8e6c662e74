import { expect, test } from 'vitest'
import { WAIT_BOUNDS_MS, WaitTally } from '../admission/wait-tally.ts'
import { waitPage } from './wait-page.ts'

test('waits are a histogram: each bucket holds those before it, and the last one all', () => {
  const tally = new WaitTally()
  for (const ms of [0, 1, 1.5, 30, 60_000]) tally.add(ms)
  const totals: Record<string, number> = { 'wait-ms': tally.sumMs }
  for (const [at, count] of tally.counts.entries()) totals[`waited.${at}`] = count
  const rows = waitPage((total) => totals[total] ?? 0).split('\n')
  expect(rows[1]).toBe('# TYPE millrace_queue_wait_seconds histogram')
  const buckets = rows.filter((row) => row.includes('_bucket'))
  expect(buckets).toHaveLength(WAIT_BOUNDS_MS.length + 1)
  expect([buckets[0], buckets[1], buckets[4], buckets.at(-1)].map((row) => row?.split('{')[1])).toEqual([
    'le="0.001"} 2',
    'le="0.005"} 3',
    'le="0.05"} 4',
    'le="+Inf"} 5',
  ])
  expect(rows.slice(-3)).toEqual(['millrace_queue_wait_seconds_sum 60.0325', 'millrace_queue_wait_seconds_count 5', ''])
})
