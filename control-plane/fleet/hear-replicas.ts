/**
 * Takes in what other control planes heard of their proxies, as if it had been said here, and lays out for them what is said here. Nothing is laid out
 * while nobody listens; what waits has a bound, and what is left out is counted.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { ProxyReport } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import type { ControlState, StreamId } from '../state.ts'
import { hearProxies } from './hear-proxies.ts'
import type { Shared, StreamNews } from './replicas.ts'

/** What a proxy says, here or elsewhere. */
export function hearOutcomes(state: ControlState, stream: StreamId, report: ProxyReport, now: Millis): void {
  const known = (id: string): boolean => state.snapshot.get(id) !== undefined
  hearProxies(state, state.proxyViews.report(stream, report, known, now), now)
}

export function hearReplica(state: ControlState, shared: Shared, now: Millis): void {
  const { key, over } = state.replicas.hear(shared, now)
  forgetStreams(state, over, now)
  const { news } = shared
  if (key === undefined) return
  if (news.kind === 'report') hearOutcomes(state, key, news.report, now)
  // It may still look open here: what it said here is over as well.
  if (news.kind === 'began')
    for (const [stream, { proxyId }] of state.proxies) if (proxyId === news.proxyId) forgetStreams(state, [stream], now)
}

/** What these streams hold, nobody holds any more. */
export function forgetStreams(state: ControlState, streams: readonly StreamId[], now: Millis): void {
  for (const stream of streams) hearProxies(state, state.proxyViews.gone(stream), now)
}

export function tellReplicas(state: ControlState, news: StreamNews): void {
  if (state.replicas.alone) return
  if (state.shares.length < limits.sharesWaitingMax) state.shares.push(news)
  else state.counts.sharesLeftOut++
}
