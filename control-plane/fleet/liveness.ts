/**
 * Decides whether an endpoint lives, from what its agent says of it, report by report. Invariant: an endpoint leaves `failed` only by way of
 * `probation`, so one lucky probe never restores full weight; and whoever becomes ready anew starts slowly.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'

export type Liveness =
  | { readonly state: 'starting'; readonly reason: string; readonly failedBefore: boolean }
  /** `warmingSince` is absent for one that may carry its full weight. */
  | { readonly state: 'ready'; readonly warmingSince?: Millis }
  | { readonly state: 'failed'; readonly reason: string }
  | { readonly state: 'probation'; readonly passed: number }

export type Evidence =
  | { readonly health: 'ready' }
  | { readonly health: 'starting' | 'failed'; readonly reason: string }
  /** The agent does not know: that changes nothing. */
  | { readonly health: 'unknown' }

/** `warm` is for a fleet that served before this control plane first heard of it. */
export function firstLiveness(evidence: Evidence, warm: boolean, now: Millis): Liveness {
  switch (evidence.health) {
    case 'ready':
      return warm ? { state: 'ready' } : { state: 'ready', warmingSince: now }
    case 'failed':
      return { state: 'failed', reason: evidence.reason }
    case 'starting':
      return { state: 'starting', reason: evidence.reason, failedBefore: false }
    case 'unknown':
      return { state: 'starting', reason: 'its agent does not know its health yet', failedBefore: false }
    default:
      return evidence satisfies never
  }
}

export function stepLiveness(liveness: Liveness, evidence: Evidence, now: Millis): Liveness {
  switch (evidence.health) {
    case 'unknown':
      return liveness
    case 'failed':
      return liveness.state === 'failed' && liveness.reason === evidence.reason ? liveness : { state: 'failed', reason: evidence.reason }
    case 'starting': {
      const failedBefore =
        liveness.state === 'failed' || liveness.state === 'probation' || (liveness.state === 'starting' && liveness.failedBefore)
      if (liveness.state === 'starting' && liveness.reason === evidence.reason) return liveness
      return { state: 'starting', reason: evidence.reason, failedBefore }
    }
    case 'ready':
      return stepReady(liveness, now)
    default:
      return evidence satisfies never
  }
}

function stepReady(liveness: Liveness, now: Millis): Liveness {
  switch (liveness.state) {
    case 'ready':
      return liveness
    case 'starting':
      return liveness.failedBefore ? { state: 'probation', passed: 1 } : { state: 'ready', warmingSince: now }
    case 'failed':
      return { state: 'probation', passed: 1 }
    case 'probation':
      return liveness.passed + 1 >= limits.probationPasses
        ? { state: 'ready', warmingSince: now }
        : { state: 'probation', passed: liveness.passed + 1 }
    default:
      return liveness satisfies never
  }
}
