/** Draws the conclusions on a node: state, weight and freshness of each endpoint, into the snapshot. What did not change goes nowhere. */
import type { Millis } from '../../core/units.ts'
import { FRESHNESS_NUMBER, STATE_NUMBER } from '../snapshot/resource.ts'
import type { ControlState } from '../state.ts'
import { usableCapacity, weigh } from '../weights/weigh.ts'
import { deriveState } from './endpoint-state.ts'
import { SERVE } from './intent.ts'
import type { EndpointRecord, NodeRecord } from './node-record.ts'

export function reconsider(state: ControlState, nodeId: string, now: Millis): void {
  const node = state.nodes.get(nodeId)
  if (node === undefined) return
  state.change.nodes.add(nodeId)
  for (const endpoint of node.endpoints.values())
    if (putEndpoint(state, node, endpoint, now)) state.change.endpoints.add(endpoint.report.id)
}

function putEndpoint(state: ControlState, node: NodeRecord, endpoint: EndpointRecord, now: Millis): boolean {
  const { report } = endpoint
  const derived = deriveState(endpoint, state.intents.get(node.nodeId)?.intent ?? SERVE)
  const { weight, factors } = weigh(endpoint, derived.state, now)
  return state.snapshot.put(
    {
      id: report.id,
      node: node.nodeId,
      zone: node.zone,
      address: report.address,
      protocol: report.protocol,
      models: report.models,
      weight,
      state: STATE_NUMBER[derived.state],
      stateReason: derived.reason,
      freshness: FRESHNESS_NUMBER[state.silence.freshness(node.nodeId)],
      capacity: usableCapacity(endpoint),
    },
    factors,
  )
}

export function removeEndpoint(state: ControlState, id: string): void {
  state.loads.forget(id)
  state.proxyViews.forget(id)
  if (state.snapshot.remove(id)) state.change.endpoints.add(id)
}
