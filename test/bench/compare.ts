/** The comparison: each peer alone between callers and backends, in rounds that are interleaved, so that what the machine does meanwhile meets all. */
import { originOf } from './machine.ts'
import { type Bench, type Measured, measure } from './measure.ts'
import type { Found, Peer } from './peer.ts'
import { PEERS } from './peers/all.ts'
import type { ComparisonRun } from './records.ts'
import { showRow } from './report.ts'
import { SCENARIOS, type Scenario } from './scenarios.ts'
import type { BenchSettings } from './settings.ts'
import { type Row, ratiosOf } from './statistics.ts'

export const DIRECT = 'direct'
export const OURS = 'millrace'
/** What a measurement takes beyond its seconds: starts, warm-up, stops. */
const OVERHEAD_SECONDS = 2.6
/** The callers without any proxy: what the others' latencies hold in any case. */
const NO_PROXY = { name: DIRECT, canRetry: false, canTls: false, roundsMax: 1, found: undefined }

type Say = (line: string) => void
type Contender = Pick<Peer, 'name' | 'canRetry' | 'canTls' | 'roundsMax' | 'aside'> & {
  readonly found: Extract<Found, { state: 'found' }> | undefined
}

export const CONTENDERS: readonly string[] = [DIRECT, ...PEERS.map((one) => one.name)]

async function gather(which: readonly string[], say: Say) {
  const contenders: Contender[] = which.includes(DIRECT) ? [NO_PROXY] : []
  const notes: ComparisonRun['peers'] = []
  for (const peer of PEERS.filter((one) => which.includes(one.name))) {
    const found = await peer.find(say)
    const { name, about } = peer
    if (found.state === 'absent') say(`${name}: skipped, ${found.reason}`)
    else contenders.push({ ...peer, found })
    notes.push({ name, about, ...(found.state === 'found' ? { version: found.version } : { absent: found.reason }) })
  }
  return { contenders, notes }
}

/** Failover asks for a proxy that sends a request again; without a proxy nothing is idle in one. */
function takesPart(one: Contender, scenario: Scenario): boolean {
  if (scenario.peers !== undefined) return scenario.peers.includes(one.name)
  if (one.aside === true || (scenario.tls === true && !one.canTls)) return false
  return scenario.kind === 'failover' ? one.canRetry : scenario.kind !== 'idle' || one.found !== undefined
}

const takesRound = (round: number, one: Contender, scenario: Scenario): boolean =>
  round <= Math.min(one.roundsMax ?? round, scenario.roundsMax ?? round)

/** A peer does not always follow the same one: what a run leaves in caches and clocks is spread. */
const turned = <T>(all: readonly T[], by: number): T[] => [...all.slice(by % all.length), ...all.slice(0, by % all.length)]

export async function compare(bench: Bench, settings: BenchSettings, say: Say): Promise<ComparisonRun> {
  const origin = await originOf()
  const { contenders, notes } = await gather(settings.which, say)
  const scenarios = SCENARIOS.filter((one) => settings.scenarios.includes(one.name))
  const plan = Array.from({ length: settings.rounds }, (_, i) => i + 1).flatMap((round) =>
    scenarios.flatMap((scenario) =>
      turned(contenders, round - 1)
        .filter((one) => takesPart(one, scenario) && takesRound(round, one, scenario))
        .map((one) => ({ round, scenario, one })),
    ),
  )
  say(`${plan.length} measurements, about ${Math.ceil((plan.length * (settings.seconds + OVERHEAD_SECONDS)) / 60)} minutes`)
  const rows: Row[] = []
  for (const [i, { round, scenario, one }] of plan.entries()) {
    const measured = await measure(bench, scenario, one.found).catch((error: Error): Measured => {
      bench.signal.throwIfAborted()
      return { values: {}, note: error.message }
    })
    rows.push({ round, scenario: scenario.name, peer: one.name, ...measured })
    const numbers = showRow(scenario, measured.values)
    say(`[${i + 1}/${plan.length}] ${scenario.name} ${one.name}  ${numbers}${measured.note ? `  (${measured.note})` : ''}`)
  }
  const compareOf = new Map(SCENARIOS.map((one) => [one.name, one.compare]))
  const ratios = ratiosOf(OURS, rows, (scenario) => compareOf.get(scenario) ?? 'cpuPerRequestMicros')
  const { seconds, rounds } = settings
  return { ...origin, seconds, rounds, peers: notes, rows, ratios }
}
