/**
 * Derives the state that people and proxies see, from records that each have one owner. Order: the operator's intent, that of the host's owner, a GPU
 * that asks to be left, liveness, what proxies see, caution over a GPU, load. Silence is no part of it: it never makes an endpoint FAILED.
 */
import { limits } from '../../core/limits.ts'
import type { EndpointState, Panic } from '../../core/mesh-snapshot.ts'
import type { Doubt } from './doubt.ts'
import type { GpuShare } from './gpu-share.ts'
import type { Intent } from './intent.ts'
import type { Liveness } from './liveness.ts'

export type Records = {
  readonly intent: Intent
  /** Why the host's owner wants no new requests; undefined when he does. */
  readonly localDrain: string | undefined
  readonly liveness: Liveness
  readonly gpus: GpuShare
  readonly doubt: Doubt
  /** Why it has too much to do; undefined when it has not. */
  readonly busy: string | undefined
}

export type DerivedState = {
  readonly state: EndpointState
  /** Empty when there is nothing to explain. */
  readonly reason: string
  /** Whether a proxy with nobody else may ask it; unsaid, its state says so. */
  readonly panic?: Panic
}

export function deriveState(records: Records): DerivedState {
  const derived = ofDrains(records)
  return { ...derived, reason: derived.reason.slice(0, limits.reportTextMax) }
}

function ofDrains({ intent, localDrain, ...rest }: Records): DerivedState {
  if (intent.want !== 'drain' && localDrain === undefined) return ofGpus(rest)
  const asked =
    intent.want === 'drain'
      ? because('drained', intent.reason, ' by an operator')
      : because('drained', localDrain ?? '', " by the host's owner")
  const { state, reason } = ofGpus(rest)
  return { state: 'DRAINING', reason: state === 'FAILED' ? `${asked}; failed: ${reason}` : asked, panic: 'never' }
}

const because = (what: string, reason: string, otherwise: string): string => (reason === '' ? what + otherwise : `${what}: ${reason}`)

type Conditions = Omit<Records, 'intent' | 'localDrain'>

function ofGpus(records: Conditions): DerivedState {
  const { gpus } = records
  const lives = ofLiveness(records)
  if (gpus.leaving?.firm === true)
    return { state: 'DRAINING', reason: `a GPU is to be left alone (${gpus.leaving.reason})`, panic: 'never' }
  if (lives.state === 'FAILED') return gpus.asksRecovery ? { ...lives, panic: 'never' } : lives
  if (gpus.leaving === undefined || lives.state === 'STARTING') return lives
  return { state: 'DRAINING', reason: `out of caution (${gpus.leaving.reason})`, panic: 'may' }
}

function ofLiveness(records: Conditions): DerivedState {
  const { liveness, doubt } = records
  switch (liveness.state) {
    case 'starting':
      return { state: 'STARTING', reason: liveness.reason }
    case 'failed':
      return { state: 'FAILED', reason: liveness.reason }
    case 'probation':
      return { state: 'PROBATION', reason: 'it failed; it answers again and has to prove it' }
    case 'ready':
      if (doubt.state === 'refused') return { state: 'FAILED', reason: `requests fail, and so does a fresh connection: ${doubt.reason}` }
      if (doubt.state === 'open') return { state: 'PROBATION', reason: 'requests fail; a fresh connection opens' }
      return ofLoad(records)
    default:
      return liveness satisfies never
  }
}

function ofLoad({ gpus, busy }: Conditions): DerivedState {
  const share = gpus.usable < gpus.total ? `${gpus.usable} of ${gpus.total} GPUs usable (${gpus.reason})` : gpus.reason
  if (busy === undefined) return { state: 'READY', reason: share }
  return { state: 'BUSY', reason: share === '' ? busy : `${busy}; ${share}` }
}
