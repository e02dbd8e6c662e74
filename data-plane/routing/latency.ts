/** What an endpoint's time to the first byte says to the policies that go by it. */
import type { Millis } from '../../core/units.ts'
import type { EndpointSlot } from './endpoint-slot.ts'

/**
 * Nobody has heard an answer of it yet: asked before all others while it holds nothing, and after them while its first answer is awaited, so that it is
 * known soon and not flooded meanwhile.
 */
export function latencyOrGuess(slot: EndpointSlot, now: Millis): number {
  return slot.firstByte.read(now) ?? (slot.charged === 0 ? 0 : Number.POSITIVE_INFINITY)
}
