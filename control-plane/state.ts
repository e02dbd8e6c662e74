/** Everything that one control plane knows. It is changed in place, by the control loop alone: copying a fleet for each report would cost the fleet. */
import type { Millis } from '../core/units.ts'
import { Agenda } from './fleet/agenda.ts'
import type { FoldDrop } from './fleet/fold-report.ts'
import type { StoredIntent } from './fleet/intent.ts'
import type { NodeRecord } from './fleet/node-record.ts'
import { ProxyViews } from './fleet/proxy-views.ts'
import { SilenceWatch } from './fleet/silence-watch.ts'
import { Cadence } from './snapshot/cadence.ts'
import { LoadLane } from './snapshot/load-lane.ts'
import type { ProxySession } from './snapshot/proxy-session.ts'
import { Snapshot } from './snapshot/snapshot.ts'

/** One open mesh stream; a proxy that reconnects is a new one. */
export type StreamId = number

/** What watchers of the admin API are to be told. */
export type Change = { readonly nodes: Set<string>; readonly endpoints: Set<string> }

export type Counts = {
  reports: number
  readonly drops: Record<FoldDrop | 'fleet-full', number>
  pushes: number
  loadPushes: number
  acks: number
  nacks: number
}

export type ControlState = {
  readonly nodes: Map<string, NodeRecord>
  readonly intents: Map<string, StoredIntent>
  /** Until the stored intents are read nothing is pushed: a drained node must not come back because its control plane restarted. */
  intentsKnown: boolean
  link: 'up' | 'down'
  /** When the whole fleet has had time to speak; undefined until the link is up for the first time. */
  settlesAt: Millis | undefined
  settled: boolean
  readonly silence: SilenceWatch
  readonly agenda: Agenda
  readonly snapshot: Snapshot
  readonly cadence: Cadence
  readonly loads: LoadLane
  readonly proxies: Map<StreamId, ProxySession>
  readonly proxyViews: ProxyViews
  change: Change
  lastNonce: number
  readonly counts: Counts
}

export const noChange = (): Change => ({ nodes: new Set(), endpoints: new Set() })

export function initialState(now: Millis): ControlState {
  return {
    nodes: new Map(),
    intents: new Map(),
    intentsKnown: false,
    link: 'down',
    settlesAt: undefined,
    settled: false,
    silence: new SilenceWatch(),
    agenda: new Agenda(now),
    snapshot: new Snapshot(),
    cadence: new Cadence(),
    loads: new LoadLane(),
    proxies: new Map(),
    proxyViews: new ProxyViews(),
    change: noChange(),
    lastNonce: 0,
    counts: {
      reports: 0,
      drops: { replayed: 0, 'past-boot': 0, 'no-full-report-yet': 0, 'fleet-full': 0 },
      pushes: 0,
      loadPushes: 0,
      acks: 0,
      nacks: 0,
    },
  }
}
