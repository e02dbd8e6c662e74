/**
 * How much of its weight an endpoint is worth by how its latest answers ended. Whoever refuses or fails at once looks idle to any policy that asks who has
 * least to do; so each refusal and each failure costs it a part of its share at once, each success gives some back, and so does time.
 */
import { limits } from '../../core/limits.ts'
import type { EndpointSlot } from '../routing/endpoint-slot.ts'

/** How much one answer counts against those before it. */
const WEIGHT_OF_LAST = 0.2
/** After a second without an answer this much of the way back is left. */
const LEFT_AFTER_SECOND = Math.exp(-1 / 5)
const GOOD = 0.98
/** Trust moves in steps, since a step makes others weigh the endpoint anew. */
const STEP = 0.05

/** Answers whether its trust changed. */
export function noteAnswer(slot: EndpointSlot, good: boolean): boolean {
  return setGoodness(slot, slot.goodness + WEIGHT_OF_LAST * ((good ? 1 : 0) - slot.goodness))
}

/** To be called once a second while `goodness` is below 1. */
export function forgive(slot: EndpointSlot): boolean {
  return setGoodness(slot, 1 - (1 - slot.goodness) * LEFT_AFTER_SECOND)
}

function setGoodness(slot: EndpointSlot, goodness: number): boolean {
  slot.goodness = goodness >= GOOD ? 1 : goodness
  const exact = Math.max(limits.trustMin, slot.goodness ** 2)
  if (exact === slot.trust || (Math.abs(exact - slot.trust) < STEP && exact !== 1 && exact !== limits.trustMin)) return false
  slot.trust = exact
  return true
}
