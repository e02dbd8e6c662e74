/** What the admin API shows: pure queries of the state, nothing is decided here. A node that is only known by its intent is shown too. */
import type { Millis, UnixMillis } from '../../core/units.ts'
import {
  type EndpointStatus,
  type GetNodeResponse,
  type Node,
  NodeIntent,
  Node as NodeMessage,
  type StateChange as StateChangeMessage,
  type Weight,
} from '../../proto/gen/millrace/admin/v1/admin.ts'
import type { Endpoint } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import type { EndpointReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { readRows } from '../fleet/gpu-rows.ts'
import type { StateChange } from '../fleet/history.ts'
import { SERVE } from '../fleet/intent.ts'
import type { ProxyOpinion } from '../fleet/proxy-views.ts'
import { FRESHNESS_NUMBER } from '../snapshot/resource.ts'
import type { ControlState } from '../state.ts'

export function nodeIds(state: ControlState): string[] {
  const drained = [...state.intents].filter(([, { intent }]) => intent.want === 'drain').map(([node]) => node)
  return [...new Set([...state.nodes.keys(), ...drained])].sort()
}

/** Undefined for a node that nobody reported and nobody drained. */
export function nodeView(state: ControlState, nodeId: string, now: Millis): Node | undefined {
  const node = state.nodes.get(nodeId)
  const intent = state.intents.get(nodeId)?.intent ?? SERVE
  if (node === undefined && intent.want === 'serve') return undefined
  const wanted = {
    nodeId,
    intent: intent.want === 'drain' ? NodeIntent.NODE_INTENT_DRAIN : NodeIntent.NODE_INTENT_SERVE,
    intentReason: intent.want === 'drain' ? [intent.reason, intent.at].filter((text) => text !== '').join(', since ') : '',
  }
  if (node === undefined) return NodeMessage.fromPartial(wanted)
  return {
    ...wanted,
    zone: node.zone,
    silentMs: Math.max(0, Math.round(now - node.heardAt)),
    freshness: FRESHNESS_NUMBER[state.silence.freshness(nodeId)],
    gpus: readRows(node.gpuRows),
    warnings: [...(state.odd.get(nodeId)?.values() ?? [])],
    history: [],
    endpoints: [...node.endpoints.values()].map(({ report }) => endpointView(state, report)).filter((status) => status !== undefined),
    gpuTelemetry: node.gpuTelemetry,
    gpuTelemetryReason: node.gpuTelemetryReason,
    simulated: node.simulated,
    agentVersion: node.agentVersion,
  }
}

/** Times as people read them: `wall` is what their clocks show at `now`. */
export type Moment = { readonly now: Millis; readonly wall: UnixMillis }

const wallOf = (at: Millis, { now, wall }: Moment): bigint => BigInt(Math.round(wall - (now - at)))

export function changeView({ at, node, endpoint, from, to, reason }: StateChange, moment: Moment): StateChangeMessage {
  return { atUnixMs: wallOf(at, moment), nodeId: node, endpointId: endpoint, from, to, reason }
}

/** One node with its history, newest first, and the weights of its endpoints. `teller`: who this control plane is. */
export function wholeNode(state: ControlState, nodeId: string, moment: Moment, teller: string): GetNodeResponse | undefined {
  const node = nodeView(state, nodeId, moment.now)
  if (node === undefined) return undefined
  const ids = [...(state.nodes.get(nodeId)?.endpoints.keys() ?? [])]
  const weights = ids.map((id) => weightView(state, id)).filter((weight) => weight !== undefined)
  const memory = { controlPlane: teller, sinceUnixMs: wallOf(state.history.since(nodeId), moment) }
  const history = state.history.of(nodeId).map((change) => changeView(change, moment))
  return { node: { ...node, history: history.reverse() }, weights, memory }
}

/** What a watcher of a node begins with, oldest first. */
export const toldView = (state: ControlState, nodeId: string, moment: Moment): StateChangeMessage[] =>
  state.history.toldOf(nodeId).map((change) => changeView(change, moment))

function endpointView(state: ControlState, { id, loadSources, serverKind }: EndpointReport): EndpointStatus | undefined {
  const endpoint = state.snapshot.get(id)?.endpoint
  if (endpoint === undefined) return undefined
  const stateReason = reasonWithProxies(endpoint, state.proxyViews.of(id))
  return { endpoint: { ...endpoint, stateReason }, load: state.loads.newest(id), loadSources, serverKind }
}

/** Proxies' words are shown and weigh nothing here: each proxy has acted on what it saw by itself. */
function reasonWithProxies({ stateReason }: Endpoint, { ejectedBy, inFlight }: ProxyOpinion): string {
  const ejected = ejectedBy === 0 ? '' : `ejected by ${ejectedBy === 1 ? 'one proxy' : `${ejectedBy} proxies`}`
  return [stateReason, ejected, inFlight === 0 ? '' : `${inFlight} in flight`].filter((text) => text !== '').join('; ')
}

export function weightView(state: ControlState, id: string): Weight | undefined {
  const resource = state.snapshot.get(id)
  if (resource === undefined) return undefined
  const { endpoint, factors } = resource
  return { endpointId: id, weight: endpoint.weight, state: endpoint.state, stateReason: endpoint.stateReason, factors: { ...factors } }
}
