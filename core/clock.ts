import type { Millis } from './units.ts'

/** The only way in which a decision learns the time. Monotonic; `core/edge/system-clock.ts` is the real one, a test passes its own. */
export type Clock = { now(): Millis }
