/**
 * The shortest expected wait, of two endpoints drawn by weight; while the better one would have to be waited for, up to three more are drawn:
 *   (requests in the server at its last reports + sent since − ended since − its places) / its pace + λ·k / (1 − k), with k the KV-cache use, in seconds.
 * What a report tells fades as it ages: a queue may change by as much as time passes, so waits that differ by less than a share of their reports' ages are
 * alike. Of two that are alike a hot one (what it holds, by its pace, is above a quantile of what was seen lately) loses to a cold one; then the one with
 * fewer of our requests wins, by its weight while both have places and memory to spare (they fill alike then, and waiting begins where places end), else by
 * its pace; then the one whose first bytes come sooner.
 * A signal that is too old loses to a fresh one. Without a fresh signal our own ledger decides: fewer requests by weight, and sooner first bytes.
 */
import type { Millis } from '../../core/units.ts'
import type { EndpointSlot } from './endpoint-slot.ts'
import { expectedWait, requestsAhead, signalOf, workOf } from './expected-wait.ts'
import { compareCharges, rate } from './least-request.ts'
import type { Policy, Terms } from './policy.ts'
import { betterOfTwo } from './pool.ts'
import { HOT_QUANTILE, RecentQuantile } from './recent-quantile.ts'
import { loadAge } from './signal-age.ts'

const REDRAWS = 3
/** Of the sum of two reports' ages: by less, waits do not differ. */
const ALIKE_SHARE = 0.25
const MS_PER_SECOND = 1_000
const ROOMY_KV_BELOW = 0.5
/** Requests per second at weight 1, until some endpoint's pace is known. */
const PACE_ASSUMED = 0.01
/** A pace is taken for this many times what its weight makes of it at most, and for as small a part at least. */
const PACE_SPREAD = 8
const PACES_REMEMBERED = 64

export function leastWait(): Policy {
  const waits = new Waits()
  return {
    name: 'LEAST_WAIT',
    choose(pool, ask) {
      const { now, draw, compared } = ask
      let best = betterOfTwo(pool, ask, (a, b) => waits.compare(a, b, now))
      for (let more = 0; more < REDRAWS && pool.size > 2 && waits.mustWait(best, now); more++) {
        const next = pool.slotAt(pool.drawIndex(draw()))
        compared?.push(next)
        if (next !== best && waits.compare(next, best, now) < 0) best = next
      }
      return best
    },
    terms: (slot, { now }) => waits.terms(slot, now),
  }
}

/** Waits by one measure, which is learned: how fast endpoints are for their weight, and how much is much. */
class Waits {
  /** Requests per second at weight 1, over the endpoints whose pace is known. */
  #paceAtWeight = PACE_ASSUMED
  /** Seconds of work that endpoints held. */
  readonly #held = new RecentQuantile(HOT_QUANTILE)

  /** Below zero where the first is the better. */
  compare(a: EndpointSlot, b: EndpointSlot, now: Millis): number {
    const signalA = signalOf(a, now)
    const signalB = signalOf(b, now)
    if (signalA === 'stale' && signalB === 'fresh') return 1
    if (signalB === 'stale' && signalA === 'fresh') return -1
    const paceA = this.#paceOf(a)
    const paceB = this.#paceOf(b)
    const heldA = workOf(a) / paceA
    const heldB = workOf(b) / paceB
    this.#held.note(heldB)
    const fresh = signalA === 'fresh' && signalB === 'fresh'
    if (fresh) {
      const apart = expectedWait(a, paceA) - expectedWait(b, paceB)
      const ages = (loadAge(a, now) ?? 0) + (loadAge(b, now) ?? 0)
      if (Math.abs(apart) > (ALIKE_SHARE * ages) / MS_PER_SECOND) return apart
    }
    if (!fresh) return compareLedgers(a, b, now)
    const hotAbove = this.#held.value
    if (heldA > hotAbove !== heldB > hotAbove) return heldA - heldB
    if (isRoomy(a) && isRoomy(b)) return compareCharges(a, b) || compareFirstBytes(a, b, now)
    return (a.charged + 1) / paceA - (b.charged + 1) / paceB || compareFirstBytes(a, b, now)
  }

  mustWait(slot: EndpointSlot, now: Millis): boolean {
    return signalOf(slot, now) === 'fresh' ? requestsAhead(slot) > 0 : workOf(slot) / this.#paceOf(slot) > this.#held.value
  }

  terms(slot: EndpointSlot, now: Millis): Terms {
    const signal = signalOf(slot, now)
    const pace = this.#paceOf(slot)
    return {
      wait_s: signal === 'fresh' ? expectedWait(slot, pace) : signal === 'stale' ? 'too old' : 'unknown',
      ...{ work: workOf(slot), pace_per_s: pace, held_s: workOf(slot) / pace, hot_above_s: finite(this.#held.value) },
      first_byte_ms: slot.firstByte.read(now) ?? 'unknown',
    }
  }

  /** Requests per second: as its reports show, within bounds, since a server that fails quickly looks fast. */
  #paceOf(slot: EndpointSlot): number {
    const weight = rate(slot)
    const learned = slot.endpoint.weight > 0 ? slot.pace.perSecond : undefined
    if (learned === undefined) return weight * this.#paceAtWeight
    const trusted = learned * slot.trust
    this.#paceAtWeight += (trusted / weight - this.#paceAtWeight) / PACES_REMEMBERED
    const usual = weight * this.#paceAtWeight
    return Math.min(Math.max(trusted, usual / PACE_SPREAD), usual * PACE_SPREAD)
  }
}

/** A request would begin at once, and the memory for its answer is there. */
const isRoomy = (slot: EndpointSlot): boolean => requestsAhead(slot) <= 0 && (slot.load?.load.kvCacheUse ?? 0) < ROOMY_KV_BELOW

const finite = (value: number): number | 'unknown' => (Number.isFinite(value) ? value : 'unknown')

/** By what this proxy knows by itself. The root, because what a first byte took says less than how many requests are there: it also depends on the request. */
function compareLedgers(a: EndpointSlot, b: EndpointSlot, now: Millis): number {
  const sooner = Math.sqrt((a.firstByte.read(now) ?? 0) / (b.firstByte.read(now) ?? 0))
  const factor = sooner > 0 && sooner < Number.POSITIVE_INFINITY ? sooner : 1
  return (factor * (a.charged + 1)) / rate(a) - (b.charged + 1) / rate(b)
}

const compareFirstBytes = (a: EndpointSlot, b: EndpointSlot, now: Millis): number =>
  (a.firstByte.read(now) ?? 0) - (b.firstByte.read(now) ?? 0)
