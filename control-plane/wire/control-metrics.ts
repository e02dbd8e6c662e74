/** The control plane's page of metrics: read from what is counted anyway, at the time of the scrape. Label sets are closed lists. */
import { Counter, Gauge, Histogram, type Registry } from '../../core/edge/metrics.ts'
import { ENDPOINT_STATES } from '../../core/mesh-snapshot.ts'
import { ODDITIES, type Oddity } from '../fleet/agent-doubts.ts'
import { STATE_NUMBER } from '../snapshot/resource.ts'
import type { ControlState } from '../state.ts'
import type { AgentCommands } from './agent-commands.ts'
import type { HandOver } from './hand-over.ts'
import type { LoopRunner } from './loop-runner.ts'
import type { OutcomeExchange } from './share-outcomes.ts'
import type { TelemetryIntake } from './telemetry-intake.ts'

export type ControlMetrics = { ticked(tookMs: number): void }

/** Changes of state that bounds kept from the log and from slow watchers. */
export type LeftOut = { log(): number; watch(): number }

export function controlMetrics(
  registry: Registry,
  runner: LoopRunner,
  intake: TelemetryIntake,
  leftOut: LeftOut,
  commands: Pick<AgentCommands, 'ends'>,
  exchange: Pick<OutcomeExchange, 'counts'>,
  handOver: Pick<HandOver, 'spentMs'>,
): ControlMetrics {
  const counter = (name: string, help: string, read: (state: ControlState) => number): void => {
    new Counter({
      name: `millrace_control_${name}`,
      help,
      registers: [registry],
      collect() {
        this.reset()
        this.inc(runner.read(read))
      },
    })
  }
  const gauge = (name: string, help: string, read: (state: ControlState) => number): void => {
    new Gauge({
      name: `millrace_control_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(runner.read(read))
      },
    })
  }
  const labelled = (name: string, help: string, label: string, read: (state: ControlState) => Readonly<Record<string, number>>): void => {
    new Counter({
      name: `millrace_control_${name}`,
      help,
      labelNames: [label],
      registers: [registry],
      collect() {
        this.reset()
        for (const [value, count] of Object.entries(runner.read(read))) this.inc({ [label]: value }, count)
      },
    })
  }
  counter('reports_total', 'Node reports that came in well-formed', (state) => state.counts.reports)
  counter(
    'stalls_total',
    'Times that it stood still or had no CPU time; silence of that time accuses nobody',
    (state) => state.counts.stalls,
  )
  counter('pushes_total', 'Endpoint deltas sent, one per proxy', (state) => state.counts.pushes)
  counter('load_pushes_total', 'Load updates sent, one per proxy', (state) => state.counts.loadPushes)
  counter('load_holds_total', 'Times that a proxy was told that loads it knows still hold', (state) => state.counts.loadHolds)
  counter('hand_over_seconds_total', 'Time spent handing messages to proxies, beside ticks', () => handOver.spentMs / 1_000)
  counter('acks_total', 'Deltas that proxies took', (state) => state.counts.acks)
  counter('nacks_total', 'Deltas that proxies refused', (state) => state.counts.nacks)
  gauge('nodes', 'Nodes known', (state) => state.nodes.size)
  gauge('proxies', 'Mesh streams open', (state) => state.proxies.size)
  gauge('link_up', 'Whether NATS is connected', (state) => (state.link === 'up' ? 1 : 0))
  gauge('intents_known', 'Whether the stored intents were read; nothing is pushed before', (state) => (state.intentsKnown ? 1 : 0))
  counter('state_changes_total', 'Changes of state of endpoints and nodes', (state) => state.history.counts.changes)
  counter('suspects_left_out_total', 'Suspects that were not connected to: too many waited', (state) => state.counts.asksLeftOut)
  gauge('history_changes', 'Changes of state that are remembered', (state) => state.history.size)
  labelled('state_changes_left_out_total', 'Changes of state that were not told: too many at once', 'where', (state) => ({
    tick: state.history.counts.untold,
    log: leftOut.log(),
    watch: leftOut.watch(),
  }))
  labelled(
    'suspects_asked_total',
    'Connections to endpoints that proxies saw failing, by how they ended',
    'result',
    (state) => state.counts.asked,
  )
  new Gauge({
    name: 'millrace_control_odd_agents',
    help: 'Nodes with something odd about their agent, by what it is; admin node NODE says more',
    labelNames: ['oddity'],
    registers: [registry],
    collect() {
      const counts = runner.read(countOddities)
      for (const oddity of ODDITIES) this.set({ oddity }, counts.get(oddity) ?? 0)
    },
  })
  labelled('report_drops_total', 'Node reports that were not used, by reason', 'reason', (state) => ({
    ...intake.drops,
    ...state.counts.drops,
  }))
  gauge('replicas', 'Other control planes of the mesh that are heard', (state) => state.replicas.size)
  labelled('shared_outcomes_total', 'What proxies said, told to and by other control planes, by what became of it', 'what', (state) => ({
    ...exchange.counts,
    left_out: state.counts.sharesLeftOut,
    ...state.replicas.counts,
  }))
  labelled('agent_commands_total', 'Commands of operators to agents, by how they ended', 'ended', () => commands.ends)
  new Gauge({
    name: 'millrace_control_endpoints',
    help: 'Endpoints by state',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      const counts = runner.read((state) => countStates(state))
      for (const name of ENDPOINT_STATES) this.set({ state: name }, counts.get(STATE_NUMBER[name]) ?? 0)
    },
  })
  const ticks = new Histogram({
    name: 'millrace_control_tick_seconds',
    help: 'How long a tick took, with laying out what it pushes',
    buckets: [0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1],
    registers: [registry],
  })
  return { ticked: (tookMs) => ticks.observe(tookMs / 1000) }
}

function countOddities({ odd }: ControlState): ReadonlyMap<Oddity, number> {
  const counts = new Map<Oddity, number>()
  for (const oddities of odd.values()) for (const oddity of oddities.keys()) counts.set(oddity, (counts.get(oddity) ?? 0) + 1)
  return counts
}

function countStates(state: ControlState): ReadonlyMap<number, number> {
  const counts = new Map<number, number>()
  for (const { endpoint } of state.snapshot.resources()) counts.set(endpoint.state, (counts.get(endpoint.state) ?? 0) + 1)
  return counts
}
