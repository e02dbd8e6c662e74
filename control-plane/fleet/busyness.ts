/**
 * Decides whether an endpoint has too much to do, from what it turns away. Invariant: backpressure is the answer of a server that lives; it makes BUSY
 * and never FAILED. Busy lasts a while, since nobody asks a busy one while others are free, and it would seem well at once.
 */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { Outcomes } from './proxy-views.ts'

/** Undefined: not that anybody saw. */
export type Busyness = { readonly seenAt: Millis } | undefined

export function stepBusyness(busy: Busyness, { successes, backpressures }: Outcomes, now: Millis): Busyness {
  if (backpressures >= limits.busyBackpressures && backpressures >= successes) return { seenAt: now }
  // It ends at a lower edge than it began at, and not before its time.
  if (busy === undefined || (now - busy.seenAt >= limits.busyDwell && backpressures * 4 <= successes)) return undefined
  return busy
}

/** One that had its time and is still turning requests away is looked at now and then. */
export const nextBusyAt = (busy: Busyness, now: Millis): Millis | undefined =>
  busy === undefined ? undefined : millis(Math.max(busy.seenAt + limits.busyDwell, now + limits.busyDwell / 4))
