/**
 * The share of its full weight that an endpoint carries while it is young: from a floor to 1, in few steps, so that a growing weight does not
 * reach every proxy at every tick.
 */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'

const STEP_MS = limits.slowStart / limits.slowStartSteps

const stepsDone = (since: Millis, now: Millis): number => Math.min(limits.slowStartSteps, Math.floor((now - since) / STEP_MS))

/** `since` is when it became ready; undefined for one that may carry its full weight. */
export function slowStartFactor(since: Millis | undefined, now: Millis): number {
  if (since === undefined) return 1
  const factor = limits.slowStartFloor + ((1 - limits.slowStartFloor) * stepsDone(since, now)) / limits.slowStartSteps
  return Math.round(factor * 100) / 100
}

/** When the factor changes next by the passing of time alone. */
export function nextStepAt(since: Millis | undefined, now: Millis): Millis | undefined {
  if (since === undefined) return undefined
  const done = stepsDone(since, now)
  return done >= limits.slowStartSteps ? undefined : millis(since + (done + 1) * STEP_MS)
}
