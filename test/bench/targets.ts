/** What Millrace aims at beside its peers, and whether a run has it. A target that is missed stays in the table, with its figure. */
import type { ComparisonRun } from './records.ts'
import type { Metric } from './statistics.ts'
import { summarise } from './statistics.ts'

export type Target = { readonly scenario: string; readonly peer: string; readonly atMost: number }

export const TARGETS: readonly Target[] = [
  { scenario: 'real', peer: 'envoy', atMost: 0.5 },
  { scenario: 'real', peer: 'haproxy', atMost: 1 },
  { scenario: 'paced', peer: 'envoy', atMost: 0.4 },
  { scenario: 'paced', peer: 'haproxy', atMost: 0.6 },
  { scenario: 'burst', peer: 'envoy', atMost: 0.25 },
  { scenario: 'spread', peer: 'envoy', atMost: 1.2 },
  { scenario: 'spread', peer: 'haproxy', atMost: 1.1 },
  { scenario: 'spread', peer: 'tcp-splice', atMost: 1.2 },
  { scenario: 'large', peer: 'envoy', atMost: 1.3 },
  { scenario: 'tls', peer: 'envoy', atMost: 0.65 },
]

const IDLE_KIB_MAX = 4
const ADDED_P99_MAX_MICROS = 420
/** A request with two workers beside one. */
const WORKERS_MAX = 1.1

export type Judged = { readonly what: string; readonly aim: string; readonly found: string; readonly met: boolean }

/** Those of which the run has figures. */
export function judge(run: ComparisonRun): Judged[] {
  const summaries = summarise(run.rows)
  const ratioTo = (scenario: string, peer: string): number | undefined =>
    run.ratios.find((one) => one.scenario === scenario && one.peer === peer)?.ratio
  const value = (scenario: string, peer: string, metric: Metric): number | undefined =>
    summaries.find((one) => one.scenario === scenario && one.peer === peer)?.values[metric]
  const row = (what: string, found: number | undefined, atMost: number, unit: string, digits: number): Judged[] =>
    found === undefined
      ? []
      : [{ what, aim: `≤ ${atMost}${unit}`, found: `${found.toFixed(digits)}${unit}`, met: Number(found.toFixed(digits)) <= atMost }]
  const [ours, envoy, direct] = ['millrace', 'envoy', 'direct'].map((peer) => value('open', peer, 'p99Micros'))
  const oneByTwo = ratioTo('workers', 'millrace-2')
  const [byEnvoy, byEnvoyTwo] = [ratioTo('workers', 'envoy'), ratioTo('workers', 'envoy-2')]
  // Workers share the machine's cores with callers and backend: what that costs anybody shows in a proxy whose workers share nothing.
  const envoys = byEnvoy !== undefined && byEnvoyTwo !== undefined ? ` (Envoy’s: ${(byEnvoy / byEnvoyTwo).toFixed(2)} ×)` : ''
  return [
    ...TARGETS.flatMap(({ scenario, peer, atMost }) => row(`${scenario}, CPU beside ${peer}`, ratioTo(scenario, peer), atMost, ' ×', 2)),
    ...row('workers, CPU of a request, two beside one', oneByTwo && 1 / oneByTwo, WORKERS_MAX, ' ×', 2).map((one) => ({
      ...one,
      found: one.found + envoys,
    })),
    ...row('idle, memory of a stream', value('idle', 'millrace', 'rssPerStreamKib'), IDLE_KIB_MAX, ' KiB', 1),
    ...row('open, p99 beside envoy', ours !== undefined && envoy !== undefined ? ours / envoy : undefined, 1, ' ×', 2),
    ...row(
      'open, p99 added to direct',
      ours !== undefined && direct !== undefined ? ours - direct : undefined,
      ADDED_P99_MAX_MICROS,
      ' µs',
      0,
    ),
  ]
}
