/**
 * The control plane's story: what can happen, what is concluded from it, and what is told to whom. Agents' reports, operators' intents and silence
 * become endpoint states and weights; differences of those go to proxies, at most one message per proxy and tick. No I/O and no clock: `wire/` brings
 * events in, with the time, and carries effects out. One event costs what it changes, never what the fleet weighs.
 */
import { limits } from '../core/limits.ts'
import { type Millis, millis } from '../core/units.ts'
import type { Hello, ProxyReport } from '../proto/gen/millrace/mesh/v1/mesh.ts'
import type { NodeReport } from '../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { reconsider, removeEndpoint } from './fleet/conclude.ts'
import { foldReport } from './fleet/fold-report.ts'
import type { StoredIntent } from './fleet/intent.ts'
import type { NodeRecord } from './fleet/node-record.ts'
import { ProxySession } from './snapshot/proxy-session.ts'
import { type Push, pushAll } from './snapshot/push.ts'
import { type Change, type ControlState, noChange, type StreamId } from './state.ts'
import { nextStepAt } from './weights/slow-start.ts'

export type Event =
  | { readonly kind: 'tick' }
  | { readonly kind: 'report'; readonly report: NodeReport }
  | { readonly kind: 'link'; readonly link: 'up' | 'down' }
  | { readonly kind: 'intent'; readonly node: string; readonly stored: StoredIntent }
  | { readonly kind: 'intents-known' }
  | { readonly kind: 'proxy-hello'; readonly stream: StreamId; readonly hello: Hello }
  | { readonly kind: 'proxy-ack'; readonly stream: StreamId; readonly nonce: string }
  | { readonly kind: 'proxy-nack'; readonly stream: StreamId; readonly nonce: string; readonly reason: string }
  | { readonly kind: 'proxy-report'; readonly stream: StreamId; readonly report: ProxyReport }
  /** The proxy's connection takes no more bytes for now, or takes them again. */
  | { readonly kind: 'proxy-blocked'; readonly stream: StreamId; readonly blocked: boolean }
  | { readonly kind: 'proxy-gone'; readonly stream: StreamId }

export type Effect = { readonly kind: 'push'; readonly push: Push } | { readonly kind: 'changed'; readonly change: Change }

export function step(state: ControlState, event: Event, now: Millis): readonly Effect[] {
  switch (event.kind) {
    case 'tick':
      return tick(state, now)
    case 'report':
      return onReport(state, event.report, now)
    case 'link':
      return onLink(state, event.link, now)
    case 'intent':
      return onIntent(state, event.node, event.stored, now)
    case 'intents-known':
      state.intentsKnown = true
      return []
    case 'proxy-hello':
      state.proxies.set(event.stream, new ProxySession(event.hello, state.snapshot))
      return []
    case 'proxy-ack':
      state.counts.acks++
      state.proxies.get(event.stream)?.ack(event.nonce)
      return []
    case 'proxy-nack':
      state.counts.nacks++
      state.proxies.get(event.stream)?.nack(event.nonce, event.reason)
      return []
    case 'proxy-report':
      noteEndpoints(
        state,
        state.proxyViews.report(event.stream, event.report, (id) => state.snapshot.get(id) !== undefined),
      )
      return []
    case 'proxy-blocked':
      state.proxies.get(event.stream)?.setBlocked(event.blocked)
      return []
    case 'proxy-gone':
      state.proxies.delete(event.stream)
      noteEndpoints(state, state.proxyViews.gone(event.stream))
      return []
    default:
      return event satisfies never
  }
}

function onReport(state: ControlState, report: NodeReport, now: Millis): readonly Effect[] {
  const { counts, nodes } = state
  counts.reports++
  const known = nodes.get(report.nodeId)
  if (known === undefined && nodes.size >= limits.nodesMax) {
    counts.drops['fleet-full']++
    return []
  }
  const folded = foldReport(known, report, now, !state.settled)
  if ('dropped' in folded) {
    counts.drops[folded.dropped]++
    return []
  }
  const { node } = folded
  nodes.set(node.nodeId, node)
  for (const id of known?.endpoints.keys() ?? []) if (!node.endpoints.has(id)) removeEndpoint(state, id)
  for (const [id, { report }] of node.endpoints) state.loads.note(id, report.load, now)
  for (const other of state.silence.heard(node.nodeId, now)) if (other !== node.nodeId) reconsider(state, other, now)
  reconsider(state, node.nodeId, now)
  state.agenda.lookBy(node.nodeId, soonest(node, millis(now + limits.staleAfterMissed * node.interval), now))
  return []
}

function onLink(state: ControlState, link: 'up' | 'down', now: Millis): readonly Effect[] {
  state.link = link
  if (link === 'up') {
    state.silence.linkUp(now)
    state.settlesAt ??= millis(now + limits.settleAfter)
  } else {
    state.silence.linkDown()
    // Nobody could speak: the time to be heard starts again.
    state.settlesAt = undefined
  }
  return []
}

function onIntent(state: ControlState, node: string, stored: StoredIntent, now: Millis): readonly Effect[] {
  const before = state.intents.get(node)
  if (before === undefined ? state.intents.size >= limits.nodesMax : before.revision >= stored.revision) return []
  state.intents.set(node, stored)
  state.change.nodes.add(node)
  reconsider(state, node, now)
  return []
}

function noteEndpoints(state: ControlState, ids: readonly string[]): void {
  for (const id of ids) {
    const node = state.snapshot.get(id)?.endpoint.node
    if (node !== undefined) state.change.nodes.add(node)
  }
}

function tick(state: ControlState, now: Millis): readonly Effect[] {
  for (const node of state.agenda.takeDue(now)) look(state, node, now)
  if (!state.settled && state.intentsKnown && state.settlesAt !== undefined && now >= state.settlesAt) state.settled = true
  const pushes = state.intentsKnown ? pushAll(state, now) : []
  const effects: Effect[] = pushes.map((push) => ({ kind: 'push', push }))
  if (state.change.nodes.size > 0 || state.change.endpoints.size > 0) {
    effects.push({ kind: 'changed', change: state.change })
    state.change = noChange()
  }
  return effects
}

/** What time alone changes: silence, slow start, and forgetting who has been silent for long. */
function look(state: ControlState, nodeId: string, now: Millis): void {
  const node = state.nodes.get(nodeId)
  if (node === undefined) return
  const { nextLookAt, changed } = state.silence.look(nodeId, node, now)
  if (state.link === 'up' && state.silence.freshness(nodeId) === 'last-resort' && now >= node.heardAt + limits.nodeForgottenAfter) {
    forgetNode(state, node, now)
    return
  }
  for (const other of changed) if (other !== nodeId) reconsider(state, other, now)
  if (changed.includes(nodeId) || hasYoung(node)) reconsider(state, nodeId, now)
  state.agenda.lookBy(nodeId, soonest(node, nextLookAt, now))
}

function forgetNode(state: ControlState, node: NodeRecord, now: Millis): void {
  state.nodes.delete(node.nodeId)
  state.change.nodes.add(node.nodeId)
  for (const id of node.endpoints.keys()) removeEndpoint(state, id)
  for (const other of state.silence.forget(node.nodeId, now)) reconsider(state, other, now)
}

const hasYoung = (node: NodeRecord): boolean =>
  [...node.endpoints.values()].some(({ liveness }) => liveness.state === 'ready' && liveness.warmingSince !== undefined)

const soonest = (node: NodeRecord, at: Millis, now: Millis): Millis =>
  [...node.endpoints.values()].reduce((first, { liveness }) => {
    const next = nextStepAt(liveness, now)
    return next !== undefined && next < first ? next : first
  }, at)
