/**
 * The share of its full weight that an endpoint carries while it is young: from a floor to 1, in few steps, so that a growing weight does not
 * reach every proxy at every tick.
 */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { Liveness } from '../fleet/liveness.ts'

const STEP_MS = limits.slowStart / limits.slowStartSteps

const stepsDone = (since: Millis, now: Millis): number => Math.min(limits.slowStartSteps, Math.floor((now - since) / STEP_MS))

export function slowStartFactor(liveness: Liveness, now: Millis): number {
  if (liveness.state === 'probation') return limits.slowStartFloor
  if (liveness.state !== 'ready' || liveness.warmingSince === undefined) return 1
  const factor = limits.slowStartFloor + ((1 - limits.slowStartFloor) * stepsDone(liveness.warmingSince, now)) / limits.slowStartSteps
  return Math.round(factor * 100) / 100
}

/** When the factor changes next by the passing of time alone. */
export function nextStepAt(liveness: Liveness, now: Millis): Millis | undefined {
  if (liveness.state !== 'ready' || liveness.warmingSince === undefined) return undefined
  const done = stepsDone(liveness.warmingSince, now)
  return done >= limits.slowStartSteps ? undefined : millis(liveness.warmingSince + (done + 1) * STEP_MS)
}
