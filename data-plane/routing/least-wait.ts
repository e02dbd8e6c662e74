/**
 * The shortest expected wait, of two endpoints drawn by weight; while the better one would have to be waited for, up to three more are drawn:
 *   (requests in the server at its last reports + sent since − ended since − its places) / its pace + λ·k / (1 − k), with k the KV-cache use, in seconds.
 * What a report tells fades as it ages: a queue may change by as much as time passes, so waits that differ by less than a share of their reports' ages are
 * alike. Of two that are alike a hot one (what it holds, by its pace, is above a quantile of what was seen lately) loses to a cold one; then the one with
 * fewer of our requests wins, by its weight while both have places and memory to spare (they fill alike then, and waiting begins where places end), else by
 * its pace; then the one whose first bytes come sooner. Of our requests those count most whose answer has not begun: that is a queue of which we know
 * without any delay, also while reports come late, get lost or lie.
 * A signal that is too old loses to a fresh one. Without a fresh signal our own ledger decides: fewer requests by weight, and sooner first bytes.
 */
import type { Millis } from '../../core/units.ts'
import type { EndpointSlot } from './endpoint-slot.ts'
import { expectedWait, hasMemory, requestsAhead, signalOf, workOf } from './expected-wait.ts'
import { rate } from './least-request.ts'
import type { Policy, Terms } from './policy.ts'
import { betterOfTwo } from './pool.ts'
import { HOT_QUANTILE, RecentQuantile } from './recent-quantile.ts'
import { loadAge } from './signal-age.ts'

const REDRAWS = 3
/** Of the sum of two reports' ages: by less, waits do not differ. */
const ALIKE_SHARE = 0.25
const MS_PER_SECOND = 1_000
/**
 * A request whose answer has not begun stands in the way of the next one by as many more than one that is being answered: prompts are read one after the
 * other, answers are written side by side.
 */
const UNBEGUN_MORE = 4
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
    const heldA = heldBy(a) / paceA
    const heldB = heldBy(b) / paceB
    this.#held.note(heldB)
    const fresh = signalA === 'fresh' && signalB === 'fresh'
    if (fresh) {
      const apart = expectedWait(a, paceA, now) - expectedWait(b, paceB, now)
      const ages = (loadAge(a, now) ?? 0) + (loadAge(b, now) ?? 0)
      if (Math.abs(apart) > (ALIKE_SHARE * ages) / MS_PER_SECOND) return apart
    }
    if (!fresh) return compareLedgers(a, b, now)
    const hotAbove = this.#held.value
    if (heldA > hotAbove !== heldB > hotAbove) return heldA - heldB
    const roomy = isRoomy(a, now) && isRoomy(b, now)
    const apart = roomy ? burden(a) / rate(a) - burden(b) / rate(b) : burden(a) / paceA - burden(b) / paceB
    return apart || compareFirstBytes(a, b, now)
  }

  mustWait(slot: EndpointSlot, now: Millis): boolean {
    return signalOf(slot, now) === 'fresh' ? requestsAhead(slot, now) > 0 : heldBy(slot) / this.#paceOf(slot) > this.#held.value
  }

  terms(slot: EndpointSlot, now: Millis): Terms {
    const signal = signalOf(slot, now)
    const pace = this.#paceOf(slot)
    return {
      wait_s: signal === 'fresh' ? expectedWait(slot, pace, now) : signal === 'stale' ? 'too old' : 'unknown',
      ...{
        work: workOf(slot),
        unbegun: slot.unbegun,
        pace_per_s: pace,
        held_s: heldBy(slot) / pace,
        hot_above_s: finite(this.#held.value),
      },
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

/** In requests that are being answered. */
const heldBy = (slot: EndpointSlot): number => workOf(slot) + UNBEGUN_MORE * slot.unbegun

/** What this proxy would have there with one request more, in the same measure. Where whole answers come at once it is the count of requests, times a constant. */
const burden = ({ charged, unbegun }: EndpointSlot): number => charged + 1 + UNBEGUN_MORE * (unbegun + 1)

/** A request would begin at once, and the memory for its answer is there. */
const isRoomy = (slot: EndpointSlot, now: Millis): boolean => requestsAhead(slot, now) <= 0 && hasMemory(slot)

const finite = (value: number): number | 'unknown' => (Number.isFinite(value) ? value : 'unknown')

/** By what this proxy knows by itself. The root, because what a first byte took says less than how many requests are there: it also depends on the request. */
function compareLedgers(a: EndpointSlot, b: EndpointSlot, now: Millis): number {
  const sooner = Math.sqrt((a.firstByte.read(now) ?? 0) / (b.firstByte.read(now) ?? 0))
  const factor = sooner > 0 && sooner < Number.POSITIVE_INFINITY ? sooner : 1
  return (factor * burden(a)) / rate(a) - burden(b) / rate(b)
}

const compareFirstBytes = (a: EndpointSlot, b: EndpointSlot, now: Millis): number =>
  (a.firstByte.read(now) ?? 0) - (b.firstByte.read(now) ?? 0)
