/** How old what is known of an endpoint's load is, and whether that is too old to go by. Unknown is neither idle nor overloaded. */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { EndpointSlot } from './endpoint-slot.ts'

/** Undefined: no load was ever told. The one place that knows. */
export function loadAge({ load }: EndpointSlot, now: Millis): Millis | undefined {
  return load === undefined ? undefined : millis(Math.max(0, now - load.sampledAt))
}

export const isStale = (age: Millis): boolean => age > limits.loadAgeMax
