/**
 * The control plane's story: what can happen, what is concluded from it, and what is told to whom. Agents' reports, operators' intents, proxies' outcomes
 * and silence become endpoint states and weights; differences of those go to proxies, at most one message per proxy and tick. No I/O and no clock: `wire/`
 * brings events in, with the time, and carries effects out. One event costs what it changes, never what the fleet weighs.
 */

import { limits } from '../core/limits.ts'
import { type Millis, millis, type UnixMillis } from '../core/units.ts'
import type { Hello, ProxyReport } from '../proto/gen/millrace/mesh/v1/mesh.ts'
import { reconsider, removeEndpoint } from './fleet/conclude.ts'
import type { Connection } from './fleet/doubt.ts'
import { hearAgent } from './fleet/hear-agent.ts'
import { lookAgain, settle } from './fleet/hear-proxies.ts'
import { forgetStreams, hearOutcomes, hearReplica, tellReplicas } from './fleet/hear-replicas.ts'
import { SERVE, type StoredIntent } from './fleet/intent.ts'
import type { NodeRecord } from './fleet/node-record.ts'
import { noteOddities } from './fleet/oddities.ts'
import type { HeardReport } from './fleet/parse-report.ts'
import type { Shared, StreamNews } from './fleet/replicas.ts'
import { ProxySession } from './snapshot/proxy-session.ts'
import { type Push, pushAll } from './snapshot/push.ts'
import { type Change, type ControlState, noChange, type StreamId } from './state.ts'

export type Event =
  /** `telling`: what was pushed before is still being handed over. */
  | { readonly kind: 'tick'; readonly telling?: boolean }
  /** `wall` is when it arrived, by our own wall clock. */
  | { readonly kind: 'report'; readonly report: HeardReport; readonly wall: UnixMillis }
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
  /** Another control plane heard something of a proxy, or lives. */
  | { readonly kind: 'shared'; readonly shared: Shared }
  /** How the connection ended that an `ask` asked for. */
  | { readonly kind: 'asked'; readonly endpoint: string; readonly address: string; readonly connection: Connection }

export type Effect =
  | { readonly kind: 'push'; readonly push: Push }
  | { readonly kind: 'changed'; readonly change: Change }
  /** For the other control planes. */
  | { readonly kind: 'share'; readonly news: StreamNews }
  /** Opens a connection to an endpoint that is suspect, once, and says how it went. */
  | { readonly kind: 'ask'; readonly endpoint: string; readonly address: string }

export function step(state: ControlState, event: Event, now: Millis): readonly Effect[] {
  if (event.kind === 'tick') return tick(state, event.telling === true, now)
  hear(state, event, now)
  return []
}

function hear(state: ControlState, event: Exclude<Event, { readonly kind: 'tick' }>, now: Millis): void {
  switch (event.kind) {
    case 'report':
      return hearAgent(state, event.report, event.wall, now)
    case 'link':
      return onLink(state, event.link, now)
    case 'intent':
      return onIntent(state, event.node, event.stored, now)
    case 'intents-known':
      state.intentsKnown = true
      return
    case 'proxy-hello':
      return onHello(state, event.stream, event.hello, now)
    case 'proxy-ack':
      state.counts.acks++
      state.proxies.get(event.stream)?.ack(event.nonce)
      return
    case 'proxy-nack':
      state.counts.nacks++
      state.proxies.get(event.stream)?.nack(event.nonce, event.reason)
      return
    case 'proxy-report':
      return onProxyReport(state, event.stream, event.report, now)
    case 'proxy-blocked':
      state.proxies.get(event.stream)?.setBlocked(event.blocked)
      return
    case 'proxy-gone':
      return onProxyGone(state, event.stream, now)
    case 'shared':
      return hearReplica(state, event.shared, now)
    case 'asked':
      return settle(state, event.endpoint, event.address, event.connection, now)
    default:
      return event satisfies never
  }
}

function onHello(state: ControlState, stream: StreamId, hello: Hello, now: Millis): void {
  const { proxyId } = hello
  state.proxies.set(stream, new ProxySession(hello, state.snapshot))
  forgetStreams(state, state.replicas.movedHere(proxyId), now)
  tellReplicas(state, { kind: 'began', proxyId, stream })
}

function onProxyReport(state: ControlState, stream: StreamId, report: ProxyReport, now: Millis): void {
  const proxyId = state.proxies.get(stream)?.proxyId
  if (proxyId !== undefined) tellReplicas(state, { kind: 'report', proxyId, stream, report })
  hearOutcomes(state, stream, report, now)
}

function onProxyGone(state: ControlState, stream: StreamId, now: Millis): void {
  const proxyId = state.proxies.get(stream)?.proxyId
  state.proxies.delete(stream)
  forgetStreams(state, [stream], now)
  if (proxyId !== undefined) tellReplicas(state, { kind: 'ended', proxyId, stream })
}

function onLink(state: ControlState, link: 'up' | 'down', now: Millis): void {
  state.link = link
  if (link === 'up') {
    state.silence.linkUp(now)
    state.settlesAt ??= millis(now + limits.settleAfter)
  } else {
    state.silence.linkDown()
    // Nobody could speak: the time to be heard starts again.
    state.settlesAt = undefined
  }
}

function onIntent(state: ControlState, node: string, stored: StoredIntent, now: Millis): void {
  const before = state.intents.get(node)
  if (before === undefined ? state.intents.size >= limits.nodesMax : before.revision >= stored.revision) return
  state.intents.set(node, stored)
  state.change.nodes.add(node)
  const [from, to] = [before?.intent.want ?? SERVE.want, stored.intent.want]
  if (from !== to) state.history.note({ at: now, node, endpoint: '', from, to, reason: stored.intent.reason })
  reconsider(state, node, now)
}

function tick(state: ControlState, telling: boolean, now: Millis): readonly Effect[] {
  if (now - state.tickedAt >= limits.ownStallMin) {
    state.counts.stalls++
    state.silence.stoodStill(now)
  }
  state.tickedAt = now
  for (const node of state.agenda.takeDue(now)) look(state, node, now)
  forgetStreams(state, state.replicas.expire(now), now)
  if (!state.settled && state.intentsKnown && state.settlesAt !== undefined && now >= state.settlesAt) state.settled = true
  const pushes = state.intentsKnown && !telling ? pushAll(state, now) : []
  const effects: Effect[] = pushes.map((push) => ({ kind: 'push', push }))
  for (const [endpoint, address] of state.asks) effects.push({ kind: 'ask', endpoint, address })
  state.asks.clear()
  for (const news of state.shares.splice(0)) effects.push({ kind: 'share', news })
  const states = state.history.takeUntold()
  if (state.change.nodes.size > 0 || state.change.endpoints.size > 0 || states.length > 0) {
    effects.push({ kind: 'changed', change: { ...state.change, states } })
    state.change = noChange()
  }
  return effects
}

/** What time alone changes: silence, slow start, pauses that end, and forgetting who has been silent for long. */
function look(state: ControlState, nodeId: string, now: Millis): void {
  const node = state.nodes.get(nodeId)
  if (node === undefined) return
  const { nextLookAt, changed } = state.silence.look(nodeId, node, now)
  if (state.link === 'up' && state.silence.freshness(nodeId) === 'last-resort' && now >= node.heardAt + limits.nodeForgottenAfter) {
    forgetNode(state, node, now)
    return
  }
  noteOddities(state, nodeId, now)
  dropContender(state, nodeId, now)
  for (const other of changed) if (other !== nodeId) reconsider(state, other, now)
  if (state.unsteady.has(nodeId)) lookAgain(state, node, now)
  if (changed.includes(nodeId) || state.unsteady.has(nodeId)) reconsider(state, nodeId, now)
  state.agenda.lookBy(nodeId, nextLookAt)
}

/** A second agent that fell silent is nobody's rival. */
function dropContender(state: ControlState, nodeId: string, now: Millis): void {
  const contender = state.contenders.get(nodeId)
  if (contender !== undefined && now - contender.heardAt >= limits.staleAfterMissed * contender.interval) state.contenders.delete(nodeId)
}

function forgetNode(state: ControlState, node: NodeRecord, now: Millis): void {
  const { nodeId } = node
  state.nodes.delete(nodeId)
  state.unsteady.delete(nodeId)
  state.freshness.delete(nodeId)
  state.odd.delete(nodeId)
  state.doubts.forget(nodeId)
  state.contenders.delete(nodeId)
  state.agenda.forget(nodeId)
  state.change.nodes.add(nodeId)
  for (const id of node.endpoints.keys()) removeEndpoint(state, nodeId, id, now)
  for (const other of state.silence.forget(nodeId, now)) reconsider(state, other, now)
}
