/**
 * Takes in what proxies say of endpoints: what they hold tells a load that lies, how their attempts end makes an endpoint suspect or busy. Costs what is
 * said, never what the fleet weighs; an endpoint of which there is nothing to say is not remembered.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { ControlState } from '../state.ts'
import { reconsider } from './conclude.ts'
import { asks, type Connection, settleDoubt } from './doubt.ts'
import { saysIdle, stepTrust } from './load-trust.ts'
import type { NodeRecord } from './node-record.ts'
import { isNothing, NOTHING_SEEN, refusedTogether, type Seen, sameSeen, stepSeen } from './seen.ts'

export function hearProxies(state: ControlState, ids: readonly string[], now: Millis): void {
  for (const id of ids) {
    const node = nodeOf(state, id)
    if (node === undefined) continue
    state.change.nodes.add(node.nodeId)
    if (!judgeLoad(state, node, id, now)) state.loads.note(id, undefined, now)
    judgeOutcomes(state, node, id, now)
  }
}

/** Time alone ends a doubt or a busy spell. */
export function lookAgain(state: ControlState, node: NodeRecord, now: Millis): void {
  for (const id of node.endpoints.keys()) if (state.seen.has(id)) judgeOutcomes(state, node, id, now)
}

/** Whether the load is believed as its agent says it; proxies are not told of one that is not. */
export function judgeLoad(state: ControlState, node: NodeRecord, id: string, now: Millis): boolean {
  const load = node.endpoints.get(id)?.report.load
  const before = state.trust.get(id)
  if (before === undefined && !saysIdle(load)) return true
  const trust = stepTrust(before, load, state.proxyViews.of(id).inFlight, now)
  if (trust !== before) {
    if (trust === undefined) state.trust.delete(id)
    else state.trust.set(id, trust)
    state.doubts.idle(node.nodeId, id, trust?.withheld === true)
  }
  return trust?.withheld !== true
}

function judgeOutcomes(state: ControlState, node: NodeRecord, id: string, now: Millis): void {
  const record = node.endpoints.get(id)
  if (record === undefined) return
  const seen = state.seen.get(id)
  if (seen === undefined && !state.proxyViews.troubled(id, now)) return
  const before = seen ?? NOTHING_SEEN
  const after = stepSeen(before, record.liveness.state === 'ready', state.proxyViews.outcomes(id, now), now)
  if (asks(before.doubt, after.doubt)) ask(state, id, record.report.address)
  remember(state, node, id, before, after, now)
}

function ask(state: ControlState, id: string, address: string): void {
  if (state.asks.size < limits.suspectsWaitingMax) state.asks.set(id, address)
  else state.counts.asksLeftOut++
}

/** A connection to where the endpoint was when it was asked for. */
export function settle(state: ControlState, id: string, address: string, connection: Connection, now: Millis): void {
  const node = nodeOf(state, id)
  const before = state.seen.get(id)
  if (node === undefined || before === undefined || node.endpoints.get(id)?.report.address !== address) return
  state.counts.asked[connection.open ? 'open' : 'refused']++
  state.proxyViews.startAnew(id)
  remember(state, node, id, before, { ...before, doubt: settleDoubt(before.doubt, connection, now) }, now)
}

function remember(state: ControlState, node: NodeRecord, id: string, before: Seen, after: Seen, now: Millis): void {
  if (isNothing(after, now)) state.seen.delete(id)
  else state.seen.set(id, after)
  const together = refusedTogether(state)
  if (after.doubt.state === 'refused') state.refused.add(id)
  else state.refused.delete(id)
  if (together !== refusedTogether(state)) for (const other of state.refused) reconsider(state, nodeOf(state, other)?.nodeId ?? '', now)
  if (!sameSeen(before, after)) reconsider(state, node.nodeId, now)
}

function nodeOf(state: ControlState, id: string): NodeRecord | undefined {
  const node = state.snapshot.get(id)?.endpoint.node
  return node === undefined ? undefined : state.nodes.get(node)
}
