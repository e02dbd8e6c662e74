/**
 * Decides the health of the inference server beside the agent from what it answers. Invariants: STARTING is left by an answer of a server that serves
 * only, so one that never served is never called failed; a refused connection fails a serving one at once, anything softer must be seen twice in a row;
 * a server that turns work away because it has too much lives, and is busy.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import { EndpointHealth, type EndpointReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

export type Health =
  | { readonly state: 'starting'; readonly reason: string }
  | { readonly state: 'ready'; readonly doubt: boolean }
  | { readonly state: 'busy'; readonly reason: string; readonly doubt: boolean }
  | { readonly state: 'failed'; readonly reason: string }

export type Evidence =
  | { readonly kind: 'ready' }
  | { readonly kind: 'busy'; readonly reason: string }
  | { readonly kind: 'refused' }
  /** Nothing came within the time. */
  | { readonly kind: 'slow'; readonly reason: string }
  /** Nothing speaks against it, and nothing has shown yet that it serves. */
  | { readonly kind: 'unproven'; readonly reason: string }
  /** Not ready, or an answer that makes no sense. */
  | { readonly kind: 'bad'; readonly reason: string }

export const FRESH_HEALTH: Health = { state: 'starting', reason: 'not asked yet' }

export function stepHealth(health: Health, evidence: Evidence): Health {
  if (evidence.kind === 'ready') return { state: 'ready', doubt: false }
  if (evidence.kind === 'busy') return { state: 'busy', reason: evidence.reason, doubt: false }
  const reason = evidence.kind === 'refused' ? 'refused' : evidence.reason
  switch (health.state) {
    case 'starting':
      return { state: 'starting', reason }
    case 'failed':
      return { state: 'failed', reason }
    case 'ready':
    case 'busy':
      if (evidence.kind === 'unproven') return { ...health, doubt: false }
      return evidence.kind === 'refused' || health.doubt ? { state: 'failed', reason } : { ...health, doubt: true }
    default:
      return health satisfies never
  }
}

/**
 * How long after an answer it is asked again: soon when in doubt, and less often while all is well and `watched`, that is, while the loss of a standing
 * connection would tell.
 */
export function askedAgainIn(health: Health, watched: boolean): Millis | 'next-report' {
  if ((health.state === 'ready' || health.state === 'busy') && health.doubt) return limits.healthAgain
  return health.state === 'ready' && watched ? 'next-report' : limits.samplePeriod
}

export function healthOf(health: Health): Pick<EndpointReport, 'health' | 'healthReason'> {
  switch (health.state) {
    case 'starting':
      return { health: EndpointHealth.ENDPOINT_HEALTH_STARTING, healthReason: health.reason }
    case 'ready':
      return { health: EndpointHealth.ENDPOINT_HEALTH_READY, healthReason: '' }
    case 'busy':
      return { health: EndpointHealth.ENDPOINT_HEALTH_BUSY, healthReason: health.reason }
    case 'failed':
      return { health: EndpointHealth.ENDPOINT_HEALTH_FAILED, healthReason: health.reason }
    default:
      return health satisfies never
  }
}
