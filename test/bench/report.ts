/** How numbers are shown: the line of one measurement, the tables at the end of a run. Markdown tables read well in a terminal too. */

import { showNumber, table, UNKNOWN } from '../../core/show/table.ts'
import type { ComparisonRun, MemoryRun, Slope } from './records.ts'
import type { Scenario } from './scenarios.ts'
import type { Metric, Ratio, Row, Summary, Values } from './statistics.ts'
import { judge } from './targets.ts'

export const LABELS: Readonly<Record<Metric, string>> = {
  requestsPerSecond: 'requests/s',
  messagesPerSecond: 'messages/s',
  errors: 'errors',
  lost: 'lost',
  p50Micros: 'p50 µs',
  p99Micros: 'p99 µs',
  p999Micros: 'p99.9 µs',
  maxMicros: 'slowest µs',
  cpuPerRequestMicros: 'CPU µs/request',
  cpuPerMessageMicros: 'CPU µs/message',
  rssMib: 'RSS MiB',
  rssPerStreamKib: 'KiB/stream',
  retries: 'retried',
  requests: 'requests',
  deadUntilMillis: 'dead one felt ms',
}

/** The columns of a scenario: what is compared, what stands beside it, and errors and memory wherever they are not there already. */
const columnsOf = (scenario: Scenario): readonly Metric[] => [...new Set<Metric>([scenario.compare, ...scenario.also, 'errors', 'rssMib'])]

export const showRow = (scenario: Scenario, values: Values): string =>
  columnsOf(scenario)
    .filter((metric) => values[metric] !== undefined)
    .map((metric) => `${LABELS[metric]} ${showNumber(values[metric])}`)
    .join('  ')

export function scenarioTable(scenario: Scenario, summaries: readonly Summary[]): string {
  const own = summaries.filter((one) => one.scenario === scenario.name)
  const columns = columnsOf(scenario).filter((metric) => own.some((one) => one.values[metric] !== undefined))
  const rows = own.map((one) => [one.peer, ...columns.map((metric) => showNumber(one.values[metric]))])
  return table(['', ...columns.map((metric) => LABELS[metric])], rows)
}

/** One row per scenario, one column per peer. Failover is not a ratio: what counts there is errors. */
export function ratioTable(scenarios: readonly Scenario[], peers: readonly string[], ratios: readonly Ratio[]): string {
  const cell = (scenario: string, peer: string): string =>
    ratios.find((one) => one.scenario === scenario && one.peer === peer)?.ratio.toFixed(2) ?? UNKNOWN
  const rows = scenarios
    .filter((one) => one.kind !== 'failover')
    .map((one) => [one.name, LABELS[one.compare], ...peers.map((peer) => cell(one.name, peer))])
    .filter(([, , ...cells]) => cells.some((one) => one !== UNKNOWN))
  const columns = peers.map((_, i) => rows.some((row) => row[i + 2] !== UNKNOWN))
  const kept = (cells: readonly string[]): string[] => cells.filter((_, i) => i < 2 || columns[i - 2])
  return table(kept(['', 'compared by', ...peers.map((peer) => `/ ${peer}`)]), rows.map(kept))
}

export const targetTable = (run: ComparisonRun): string =>
  table(
    ['', 'target', 'found', ''],
    judge(run).map(({ what, aim, found, met }) => [what, aim, found, met ? 'met' : 'missed']),
  )

export const showSlope = ({ kibPerMinute, errorKibPerMinute }: Slope): string =>
  `${kibPerMinute < 0 ? '−' : '+'}${Math.abs(kibPerMinute).toFixed(1)} ± ${errorKibPerMinute.toFixed(1)} KiB/min`

export const memoryText = ({ slopes, minutes, requests, messages, errors }: MemoryRun): string =>
  [
    `${showNumber(requests)} requests and ${showNumber(messages)} messages in ${Number(minutes.toFixed(1))} minutes, ${showNumber(errors)} errors`,
    `heap of all after a collection:   ${showSlope(slopes.heap)}`,
    `memory of all outside the heap:   ${showSlope(slopes.external)}`,
    `resident set of all processes:    ${showSlope(slopes.rss)}`,
  ].join('\n')

export const notesOf = (rows: readonly Row[]): string[] => [
  ...new Set(rows.flatMap((row) => (row.note === undefined ? [] : [`${row.scenario}, ${row.peer}: ${row.note}`]))),
]
