import { describe, expect, test } from 'vitest'
import { millis } from '../../../core/units.ts'
import { Request } from '../mesh/request.ts'
import { loadChart } from './charts.ts'
import { type Measures, quantiles, Tally } from './measures.ts'
import { middleOf } from './middle.ts'
import { type Results, resultsTable } from './results.ts'

const request = (at: number, firstTokenAt?: number): Request => {
  const prompt = { tokens: 1, system: 0, systemTokens: 0, session: 0, historyTokens: 0 }
  const one = new Request(0, 0, { at: millis(at), tenant: 0, prompt, outputTokens: 1 })
  one.firstTokenAt = firstTokenAt
  return one
}

test('quantiles are values that were seen, and there are none of nothing', () => {
  const values = Array.from({ length: 200 }, (_, at) => 200 - at)
  expect(quantiles(values)).toEqual({ p50: 100, p99: 198 })
  expect(quantiles([])).toBeUndefined()
})

test('who gave up before a token counts with all the time that he waited, who was refused does not', () => {
  const tally = new Tally(100)
  tally.note(request(0, 50), 'done', 500)
  tally.note(request(0, 150), 'done', 600)
  tally.note(request(0), 'late', 9_000)
  tally.note(request(0), 'refused', 1, 'queue-full')
  expect(tally.read(10, 3)).toEqual({
    requests: 4,
    ttftMs: { p50: 150, p99: 9_000 },
    latencyMs: { p50: 500, p99: 600 },
    goodShare: 0.25,
    goodPerSecond: 0.1,
    refused: 1,
    refusals: { 'queue-full': 1 },
    failed: 0,
    late: 1,
    retries: 3,
  })
})

const measures = (ms: number | undefined): Measures => ({
  requests: 10,
  ...(ms !== undefined && { ttftMs: { p50: ms, p99: 2 * ms }, latencyMs: { p50: 3 * ms, p99: 4 * ms } }),
  goodShare: 1,
  goodPerSecond: 2,
  refused: 0,
  refusals: {},
  failed: 0,
  late: 0,
  retries: 0,
})

test('of several runs the middle one of each measure; what one run did not measure is not known', () => {
  expect(middleOf([measures(30), measures(10), measures(20)])).toEqual(measures(20))
  expect(middleOf([measures(30), measures(undefined)]).ttftMs).toBeUndefined()
})

describe('results', () => {
  const rows = [0.5, 0.9].flatMap((load) => [
    { policy: 'LEAST_WAIT', load, measures: measures(100 * load) },
    { policy: 'epp', load, measures: measures(load === 0.9 ? undefined : 1_000) },
  ])
  const results: Results = { scenario: 's', about: 'a <test>', seed: 1, capacityPerSecond: 10, ttftGoalMs: 100, rows }

  test('what is not known is a dash, never zero', () => {
    expect(resultsTable(results).split('\n').at(-1)).toMatch(/^\| 0\.90 \| epp +\| – +\| – /)
  })

  test('the same numbers draw the same chart, with a line for each way of choosing in each panel', () => {
    const chart = loadChart(results)
    expect(loadChart(results)).toBe(chart)
    expect(chart.match(/<polyline/g)).toHaveLength(12)
    expect(chart).toContain('a &lt;test&gt;')
    expect(chart).not.toMatch(/NaN|Infinity/)
  })

  test('the default stands out, and an axis begins where its values do', () => {
    const lines = loadChart(results).match(/<polyline[^>]*>/g) ?? []
    expect(lines.map((line) => line.includes('stroke-width:4'))).toEqual(Array.from({ length: 6 }, () => [false, true]).flat())
    const late = { ...results, rows: rows.map((row) => ({ ...row, measures: measures(20_000) })) }
    expect(loadChart(late)).not.toMatch(/>(10|100|1,000)</)
    expect(loadChart({ ...results, rows: [{ policy: 'epp', load: 1, measures: measures(undefined) }] })).not.toMatch(/NaN|Infinity/)
  })

  test('why requests were refused stands beside how many were', () => {
    const refused = { ...measures(1), refused: 7, refusals: { 'queue-full': 2, 'queue-timeout': 5 } as const }
    const table = resultsTable({ ...results, rows: [{ policy: 'epp', load: 1, measures: refused }] })
    expect(table).toContain('| queue-timeout 5, queue-full 2 |')
    expect(resultsTable(results)).not.toContain('why refused')
  })
})
