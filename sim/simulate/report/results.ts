/** All runs of a simulation, and the table that a person reads. */
import { showNumber, table, UNKNOWN } from '../../../core/show/table.ts'
import type { Measures } from './measures.ts'

export type Row = { readonly policy: string; readonly load: number; readonly measures: Measures; readonly byTenant?: readonly Measures[] }

export type Results = {
  readonly scenario: string
  readonly about: string
  readonly seed: number
  readonly capacityPerSecond: number
  readonly ttftGoalMs: number
  readonly rows: readonly Row[]
}

const HEAD = ['load', 'policy', 'TTFT p50 ms', 'p99 ms', 'latency p50 s', 'p99 s', 'good/s', 'good', 'refused', 'failed', 'late', 'retries']

/** Why requests were refused stands in the last column, where any were. */
export function resultsTable({ rows }: Results): string {
  const some = rows.some(({ measures }) => measures.refused > 0)
  return table(
    some ? [...HEAD, 'why refused'] : HEAD,
    rows.map(({ policy, load, measures: m }) => [
      load.toFixed(2),
      policy,
      whole(m.ttftMs?.p50),
      whole(m.ttftMs?.p99),
      secondsOf(m.latencyMs?.p50),
      secondsOf(m.latencyMs?.p99),
      showNumber(m.goodPerSecond),
      `${(100 * m.goodShare).toFixed(1)} %`,
      ...[m.refused, m.failed, m.late, m.retries].map(showNumber),
      ...(some ? [whyRefused(m)] : []),
    ]),
  )
}

/** Most common first. */
export const whyRefused = ({ refusals }: Measures): string =>
  Object.entries(refusals)
    .toSorted(([, a], [, b]) => b - a)
    .map(([reason, count]) => `${reason} ${showNumber(count)}`)
    .join(', ')

const whole = (ms: number | undefined): string => (ms === undefined ? UNKNOWN : showNumber(Math.round(ms)))
const secondsOf = (ms: number | undefined): string => (ms === undefined ? UNKNOWN : showNumber(ms / 1000))
