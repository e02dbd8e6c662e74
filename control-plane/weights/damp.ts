/**
 * Keeps a factor that flutters from reaching every proxy at every report. Invariants: a real fall is told at once; a rise goes in steps, each after a
 * dwell in which the factor did not fall again; and what is whole again gets there in the end.
 */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'

/** `movedAt`: when the value last rose, or its source was last no higher. */
export type Damped = { readonly value: number; readonly movedAt: Millis }

/** Of whom nothing is remembered. */
export const WHOLE: Damped = { value: 1, movedAt: millis(0) }

export function stepDamped(before: Damped, raw: number, now: Millis): Damped {
  if (raw <= before.value) return { value: before.value - raw > limits.weightFallBand || raw === 0 ? raw : before.value, movedAt: now }
  if (now - before.movedAt < limits.weightRiseDwell) return before
  return { value: Math.min(raw, before.value + limits.weightRiseStep), movedAt: now }
}

/** When it may rise next by the passing of time alone. */
export const nextRiseAt = ({ value, movedAt }: Damped, raw: number): Millis | undefined =>
  raw > value ? millis(movedAt + limits.weightRiseDwell) : undefined
