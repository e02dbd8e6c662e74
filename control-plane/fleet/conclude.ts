/**
 * Draws the conclusions on a node: state, weight and freshness of each endpoint, into the snapshot and the history. What did not change goes nowhere.
 * What time alone will change is put on the agenda, so that nobody walks the fleet to find it.
 */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import { EndpointHealth } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { FRESHNESS_NUMBER, PANIC_NUMBER, STATE_NUMBER, stateName } from '../snapshot/resource.ts'
import type { ControlState } from '../state.ts'
import { usableCapacity, weigh } from '../weights/weigh.ts'
import { nextBusyAt } from './busyness.ts'
import { nextDoubtAt } from './doubt.ts'
import { type DerivedState, deriveState } from './endpoint-state.ts'
import { nextGpuLookAt } from './gpu-record.ts'
import { type GpuShare, gpuShare } from './gpu-share.ts'
import { SERVE } from './intent.ts'
import type { EndpointRecord, NodeRecord } from './node-record.ts'
import { NOTHING_SEEN, refusedTogether, type Seen } from './seen.ts'

export function reconsider(state: ControlState, nodeId: string, now: Millis): void {
  const node = state.nodes.get(nodeId)
  if (node === undefined) return
  state.change.nodes.add(nodeId)
  noteFreshness(state, node, now)
  let next = Number.POSITIVE_INFINITY
  const lookBy = (at: Millis | undefined): void => {
    if (at !== undefined && at < next) next = at
  }
  for (const endpoint of node.endpoints.values()) {
    lookBy(putEndpoint(state, node, endpoint, now))
    const seen = state.seen.get(endpoint.report.id)
    if (seen !== undefined) for (const at of [nextDoubtAt(seen.doubt), nextBusyAt(seen.busy, now)]) lookBy(at)
  }
  for (const facts of node.gpus.values()) lookBy(nextGpuLookAt(facts, now))
  if (next === Number.POSITIVE_INFINITY) state.unsteady.delete(nodeId)
  else {
    state.unsteady.add(nodeId)
    state.agenda.lookBy(nodeId, millis(next))
  }
}

/** Answers when it weighs something else by the passing of time alone. */
function putEndpoint(state: ControlState, node: NodeRecord, endpoint: EndpointRecord, now: Millis): Millis | undefined {
  const { report, liveness } = endpoint
  const { id } = report
  const seen = state.seen.get(id) ?? NOTHING_SEEN
  const gpus = gpuShare(report, node, now)
  const derived = derive(state, node, endpoint, seen, gpus)
  const { weight, factors, damping, nextAt } = weigh(
    { capacity: report.capacity, gpus, derived, warmingSince: warmingSince(liveness, seen) },
    state.damping.get(id),
    now,
  )
  if (damping === undefined) state.damping.delete(id)
  else state.damping.set(id, damping)
  const before = state.snapshot.get(id)?.endpoint
  const changed = state.snapshot.put(
    {
      id,
      node: node.nodeId,
      zone: node.zone,
      address: report.address,
      protocol: report.protocol,
      models: report.models,
      weight,
      state: STATE_NUMBER[derived.state],
      stateReason: derived.reason,
      freshness: FRESHNESS_NUMBER[state.silence.freshness(node.nodeId)],
      capacity: usableCapacity(report.capacity, gpus),
      panic: derived.panic === undefined ? 0 : PANIC_NUMBER[derived.panic],
      slowStart: factors.slow_start === 1 ? undefined : factors.slow_start,
    },
    factors,
  )
  if (!changed) return nextAt
  state.change.endpoints.add(id)
  const from = before === undefined ? 'NEW' : stateName(before.state)
  if (from !== derived.state || before?.stateReason !== derived.reason)
    state.history.note({ at: now, node: node.nodeId, endpoint: id, from, to: derived.state, reason: derived.reason })
  return nextAt
}

function derive(state: ControlState, node: NodeRecord, { report, liveness }: EndpointRecord, seen: Seen, gpus: GpuShare): DerivedState {
  const saysBusy = report.health === EndpointHealth.ENDPOINT_HEALTH_BUSY
  const busy = saysBusy ? report.healthReason || 'it turned a probe away' : seen.busy && 'it turns requests away'
  // When this control plane reaches hardly anybody, it is the one that is cut off.
  const doubt =
    seen.doubt.state === 'refused' && refusedTogether(state) ? ({ state: 'open', quietSince: seen.doubt.askedAt } as const) : seen.doubt
  const intent = state.intents.get(node.nodeId)?.intent ?? SERVE
  return deriveState({ intent, localDrain: node.localDrain, liveness, gpus, doubt, busy })
}

function warmingSince(liveness: EndpointRecord['liveness'], { doubt }: Seen): Millis | undefined {
  const after = [
    liveness.state === 'ready' ? liveness.warmingSince : undefined,
    doubt.state === 'none' ? doubt.warmingSince : undefined,
  ].filter((at) => at !== undefined)
  return after.length === 0 ? undefined : millis(Math.max(...after))
}

function noteFreshness(state: ControlState, { nodeId, heardAt }: NodeRecord, now: Millis): void {
  const to = state.silence.freshness(nodeId)
  const from = state.freshness.get(nodeId) ?? 'fresh'
  if (from === to) return
  if (to === 'fresh') state.freshness.delete(nodeId)
  else state.freshness.set(nodeId, to)
  const heard = heardAt === now ? 'it is heard again' : 'most of the fleet is silent with it: nothing is concluded'
  const missed = to === 'stale' ? limits.staleAfterMissed : limits.lastResortAfterMissed
  const reason = to === 'fresh' ? heard : `it missed ${missed} reports`
  state.history.note({ at: now, node: nodeId, endpoint: '', from, to, reason })
}

export function removeEndpoint(state: ControlState, node: string, id: string, now: Millis): void {
  const before = state.snapshot.get(id)?.endpoint
  state.loads.forget(id)
  state.proxyViews.forget(id)
  state.seen.delete(id)
  state.refused.delete(id)
  state.damping.delete(id)
  state.trust.delete(id)
  state.doubts.idle(node, id, false)
  state.asks.delete(id)
  if (!state.snapshot.remove(id)) return
  state.change.endpoints.add(id)
  const from = before === undefined ? '' : stateName(before.state)
  state.history.note({ at: now, node, endpoint: id, from, to: 'GONE', reason: 'its agent reports it no more' })
}
