/** Everything that one control plane knows. It is changed in place, by the control loop alone: copying a fleet for each report would cost the fleet. */
import type { Freshness } from '../core/mesh-snapshot.ts'
import type { Millis } from '../core/units.ts'
import type { ReportDrop } from './fleet/admit-report.ts'
import { Agenda } from './fleet/agenda.ts'
import { AgentDoubts, type Oddity } from './fleet/agent-doubts.ts'
import { History, type StateChange } from './fleet/history.ts'
import type { StoredIntent } from './fleet/intent.ts'
import type { LoadTrust } from './fleet/load-trust.ts'
import type { NodeRecord } from './fleet/node-record.ts'
import { ProxyViews } from './fleet/proxy-views.ts'
import { Replicas, type StreamNews } from './fleet/replicas.ts'
import type { Seen } from './fleet/seen.ts'
import { SilenceWatch } from './fleet/silence-watch.ts'
import { Cadence } from './snapshot/cadence.ts'
import type { LoadBatch } from './snapshot/load-batch.ts'
import { LoadLane } from './snapshot/load-lane.ts'
import { LoadShares } from './snapshot/load-share.ts'
import type { ProxySession } from './snapshot/proxy-session.ts'
import { Snapshot } from './snapshot/snapshot.ts'
import type { Damping } from './weights/weigh.ts'

/** One open mesh stream; a proxy that reconnects is a new one. Those of other control planes are negative. */
export type StreamId = number

/** What watchers of the admin API are to be told. */
export type Change = { readonly nodes: Set<string>; readonly endpoints: Set<string>; readonly states: readonly StateChange[] }

export type Counts = {
  reports: number
  readonly drops: Record<ReportDrop, number>
  /** Times that this control plane stood still, or had no CPU time. */
  stalls: number
  pushes: number
  loadPushes: number
  /** Times that a proxy was told that its loads hold. */
  loadHolds: number
  acks: number
  nacks: number
  /** How connections to suspects ended. */
  readonly asked: { open: number; refused: number }
  asksLeftOut: number
  sharesLeftOut: number
}

export type ControlState = {
  readonly nodes: Map<string, NodeRecord>
  /** Second agents of a name that is taken, each beside the first. */
  readonly contenders: Map<string, NodeRecord>
  readonly intents: Map<string, StoredIntent>
  /** Until the stored intents are read nothing is pushed: a drained node must not come back because its control plane restarted. */
  intentsKnown: boolean
  link: 'up' | 'down'
  /** When the whole fleet has had time to speak; undefined until the link is up for the first time. */
  settlesAt: Millis | undefined
  settled: boolean
  readonly silence: SilenceWatch
  tickedAt: Millis
  readonly agenda: Agenda
  /** Nodes of which something will change by the passing of time alone, apart from silence. */
  readonly unsteady: Set<string>
  readonly snapshot: Snapshot
  readonly cadence: Cadence
  /** When newcomers were told the whole fleet last. */
  greetedAt: Millis | undefined
  readonly loads: LoadLane
  readonly loadShares: LoadShares
  /** What was told up to a round and behind an earlier one, laid out for those who lack it. */
  readonly lackedLoads: { round: number; at: Millis; readonly since: Map<number, LoadBatch> }
  readonly proxies: Map<StreamId, ProxySession>
  readonly proxyViews: ProxyViews
  readonly replicas: Replicas
  /** What proxies said, for the other control planes. */
  readonly shares: StreamNews[]
  /** By endpoint; whoever is not in there has nothing to be remembered. */
  readonly seen: Map<string, Seen>
  readonly damping: Map<string, Damping>
  readonly trust: Map<string, NonNullable<LoadTrust>>
  /** Endpoints that did not take a connection from here. */
  readonly refused: Set<string>
  /** Connections to be opened: endpoint → address. */
  readonly asks: Map<string, string>
  /** By node; whoever is not in there is fresh. */
  readonly freshness: Map<string, Freshness>
  readonly doubts: AgentDoubts
  /** What was said to be odd of each node last. */
  readonly odd: Map<string, ReadonlyMap<Oddity, string>>
  readonly history: History
  change: Pick<Change, 'nodes' | 'endpoints'>
  lastNonce: number
  readonly counts: Counts
}

export const noChange = (): ControlState['change'] => ({ nodes: new Set(), endpoints: new Set() })

export function initialState(now: Millis): ControlState {
  return {
    nodes: new Map(),
    contenders: new Map(),
    intents: new Map(),
    intentsKnown: false,
    link: 'down',
    settlesAt: undefined,
    settled: false,
    silence: new SilenceWatch(),
    tickedAt: now,
    agenda: new Agenda(now),
    unsteady: new Set(),
    snapshot: new Snapshot(),
    cadence: new Cadence(),
    greetedAt: undefined,
    loads: new LoadLane(),
    loadShares: new LoadShares(),
    lackedLoads: { round: 0, at: now, since: new Map() },
    proxies: new Map(),
    proxyViews: new ProxyViews(),
    replicas: new Replicas(),
    shares: [],
    seen: new Map(),
    damping: new Map(),
    trust: new Map(),
    refused: new Set(),
    asks: new Map(),
    freshness: new Map(),
    doubts: new AgentDoubts(),
    odd: new Map(),
    history: new History(now),
    change: noChange(),
    lastNonce: 0,
    counts: {
      reports: 0,
      drops: { replayed: 0, 'past-boot': 0, 'no-full-report-yet': 0, 'fleet-full': 0, contended: 0 },
      stalls: 0,
      pushes: 0,
      loadPushes: 0,
      loadHolds: 0,
      acks: 0,
      nacks: 0,
      asked: { open: 0, refused: 0 },
      asksLeftOut: 0,
      sharesLeftOut: 0,
    },
  }
}
