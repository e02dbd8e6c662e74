/**
 * Takes in one report of an agent: whose word it is, what it changes, and what is odd about it. A heartbeat that changes nothing touches nothing but the
 * time at which its node was heard, and the age of its loads.
 */

import { limits } from '../../core/limits.ts'
import { type Millis, millis, type UnixMillis, unixMillis } from '../../core/units.ts'
import { type NodeEvent, XidAction } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import type { Keeping } from '../snapshot/load-lane.ts'
import type { ControlState } from '../state.ts'
import { admitReport, type ReportDrop } from './admit-report.ts'
import { reconsider, removeEndpoint } from './conclude.ts'
import { foldReport, sameNode, sameToJudge, succeed } from './fold-report.ts'
import { judgeLoad } from './hear-proxies.ts'
import type { NodeRecord } from './node-record.ts'
import { noteOddities } from './oddities.ts'
import type { HeardReport } from './parse-report.ts'

/** `wall` is our own wall clock, for a comparison with the agent's. */
export function hearAgent(state: ControlState, report: HeardReport, wall: UnixMillis, now: Millis): void {
  const { counts, nodes, contenders } = state
  const { nodeId } = report
  counts.reports++
  const known = nodes.get(nodeId)
  if (known === undefined && nodes.size >= limits.nodesMax) return void counts.drops['fleet-full']++
  const contender = contenders.get(nodeId)
  const admission = admitReport(known, contender, report, now)
  switch (admission.kind) {
    case 'drop':
      return drop(state, nodeId, admission.drop, now)
    case 'contend':
      contenders.set(nodeId, foldReport(sameBoot(contender, report), report, now, false))
      return void counts.drops.contended++
    case 'take-over': {
      const next = foldReport(sameBoot(contender, report), report, now, false)
      contenders.delete(nodeId)
      if (known === undefined) return
      state.history.note({
        at: now,
        node: nodeId,
        endpoint: '',
        from: '',
        to: 'agent-restarted',
        reason: 'another start of its agent speaks for it',
      })
      return takeIn(state, known, succeed(known, next, now), report, wall, now)
    }
    case 'fold':
      if (contender !== undefined) state.doubts.twin(nodeId, now)
      return takeIn(state, known, foldReport(known, report, now, !state.settled), report, wall, now)
    default:
      return admission satisfies never
  }
}

const sameBoot = (record: NodeRecord | undefined, { bootId }: HeardReport): NodeRecord | undefined =>
  record?.bootId === bootId ? record : undefined

function drop(state: ControlState, nodeId: string, reason: ReportDrop, now: Millis): void {
  state.counts.drops[reason]++
  if (reason === 'replayed') state.doubts.replayed(nodeId, now)
  // One that was replaced and still speaks lives beside the one that replaced it.
  if (reason === 'past-boot') state.doubts.twin(nodeId, now)
  noteOddities(state, nodeId, now)
}

function takeIn(
  state: ControlState,
  known: NodeRecord | undefined,
  node: NodeRecord,
  report: HeardReport,
  wall: UnixMillis,
  now: Millis,
): void {
  const { nodeId } = node
  state.nodes.set(nodeId, node)
  if (known !== undefined && known.endpoints !== node.endpoints)
    for (const id of known.endpoints.keys()) if (!node.endpoints.has(id)) removeEndpoint(state, nodeId, id, now)
  const keeping = keepingOf(state, node, now)
  for (const [id, { report: endpoint }] of node.endpoints) {
    const believed = !state.trust.has(id) || judgeLoad(state, node, id, now)
    state.loads.note(id, believed ? endpoint.load : undefined, now, keeping)
  }
  for (const event of report.events) noteEvent(state, nodeId, event, now)
  if (report.wallClockUnixMs !== undefined) state.doubts.clock(nodeId, unixMillis(Number(report.wallClockUnixMs)), wall)
  noteOddities(state, nodeId, now)
  if (known !== undefined && !sameNode(known, node)) state.change.nodes.add(nodeId)
  let changed = known === undefined || !sameToJudge(known, node)
  for (const other of state.silence.heard(nodeId, now))
    if (other === nodeId) changed = true
    else reconsider(state, other, now)
  if (changed) reconsider(state, nodeId, now)
  state.agenda.lookBy(nodeId, millis(now + limits.staleAfterMissed * node.interval))
}

function keepingOf(state: ControlState, { interval }: NodeRecord, now: Millis): Keeping {
  if (interval * limits.staleAfterMissed > limits.loadAgeMax) return 'ages'
  return state.silence.hears(now) ? 'holds' : 'repeated'
}

const REMEDIES: Readonly<Partial<Record<XidAction, string>>> = {
  [XidAction.XID_ACTION_RESTART_APPLICATION]: 'restart the application',
  [XidAction.XID_ACTION_RESET_GPU]: 'reset the GPU',
  [XidAction.XID_ACTION_REBOOT_NODE]: 'reboot the node',
  [XidAction.XID_ACTION_WORKFLOW]: 'more than one remedy; see the catalogue',
}

function noteEvent(state: ControlState, node: string, { ageMs, kind, detail, gpuUuid, xid, xidAction }: NodeEvent, now: Millis): void {
  const age = Math.min(Number(ageMs), limits.nodeForgottenAfter)
  const what = xid === undefined ? detail : `Xid ${xid} on ${gpuUuid || 'a GPU'}: ${detail}`
  const remedy = REMEDIES[xidAction]
  const reason = (remedy === undefined ? what : `${what} (${remedy})`).slice(0, limits.reportTextMax)
  state.history.note({ at: millis(now - age), node, endpoint: '', from: '', to: kind, reason })
  state.change.nodes.add(node)
}
