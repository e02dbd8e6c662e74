/**
 * Derives the state that people and proxies see, from records that each have one owner. Order: the operator's intent, then liveness (which all
 * GPUs of an endpoint being gone is part of). Silence is no part of it: it never makes an endpoint FAILED.
 */
import type { EndpointState } from '../../core/mesh-snapshot.ts'
import type { Intent } from './intent.ts'
import type { EndpointRecord } from './node-record.ts'

export type DerivedState = { readonly state: EndpointState /** Empty when there is nothing to explain. */; readonly reason: string }

export function deriveState(endpoint: Pick<EndpointRecord, 'liveness' | 'gpus'>, intent: Intent): DerivedState {
  const lives = ofLiveness(endpoint)
  if (intent.want !== 'drain') return lives
  const asked = intent.reason === '' ? 'drained by an operator' : `drained: ${intent.reason}`
  return { state: 'DRAINING', reason: lives.state === 'FAILED' ? `${asked}; failed: ${lives.reason}` : asked }
}

function ofLiveness({ liveness, gpus }: Pick<EndpointRecord, 'liveness' | 'gpus'>): DerivedState {
  switch (liveness.state) {
    case 'starting':
      return { state: 'STARTING', reason: liveness.reason }
    case 'failed':
      return { state: 'FAILED', reason: liveness.reason }
    case 'probation':
      return { state: 'PROBATION', reason: 'it failed; it answers again and has to prove it' }
    case 'ready':
      return { state: 'READY', reason: gpus.usable < gpus.total ? `${gpus.usable} of ${gpus.total} GPUs usable (${gpus.reason})` : '' }
    default:
      return liveness satisfies never
  }
}
