/**
 * Prequal's rule of hot and cold: of a small pool of endpoints that were looked at lately, the quickest of those that are not hot; when all are hot, the
 * one with the least in flight. Hot is whose requests in flight are above a quantile of those seen lately.
 * Its probes are no calls here. What a probe asks is known to the proxy already: requests in flight from its own exact ledger, latency from answers that it
 * relayed. So a probe draws an endpoint into the pool, its numbers are read when they are used, and no server needs to know of another protocol. A
 * server of Prequal's answers with its latency at as many requests as it has now; here that is the time to the first byte in proportion to them.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { Ask } from './ask.ts'
import type { EndpointSlot } from './endpoint-slot.ts'
import { latencyOrGuess } from './latency.ts'
import { rate } from './least-request.ts'
import type { Policy } from './policy.ts'
import type { Pool } from './pool.ts'
import { HOT_QUANTILE, RecentQuantile } from './recent-quantile.ts'

const POOL_SIZE = 16
const PROBES_PER_PICK = 3
const REMOVED_PER_PICK = 1
/** δ: how much faster probes come in than they are used up. */
const SURPLUS = 1
const USES_MAX = 16

type Probe = { readonly slot: EndpointSlot; readonly moves: number; readonly at: Millis; uses: number }
/** Oldest first. */
type Probes = { readonly held: Probe[]; removeWorst: boolean }

export function prequal(): Policy {
  const probesOf = new WeakMap<Pool, Probes>()
  const inFlight = new RecentQuantile(HOT_QUANTILE)
  return {
    name: 'PREQUAL',
    choose(pool, ask) {
      let probes = probesOf.get(pool)
      if (probes === undefined) {
        probes = { held: [], removeWorst: false }
        probesOf.set(pool, probes)
      }
      probe(pool, probes, inFlight, ask)
      const best = bestOf(probes.held, inFlight.value, ask.now)
      ask.compared?.push(...new Set(probes.held.map(({ slot }) => slot)))
      use(probes, best, inFlight.value, ask.now)
      return best.slot
    },
    terms: (slot, { now }) => ({ latency: slot.firstByte.read(now) ?? 'unknown', in_flight: perRate(slot), hot_above: inFlight.value }),
  }
}

/** In flight, by the size of the endpoint. */
const perRate = (slot: EndpointSlot): number => (slot.charged * 100) / rate(slot)

const latencyNow = (slot: EndpointSlot, now: Millis): number => latencyOrGuess(slot, now) * (1 + perRate(slot))

function probe(pool: Pool, { held }: Probes, inFlight: RecentQuantile, { now, draw }: Ask): void {
  let kept = 0
  for (const one of held)
    if (now - one.at <= limits.probeAgeMax && one.moves === one.slot.moves && !one.slot.gone) {
      held[kept] = one
      kept++
    }
  held.length = kept
  const uses = reuse(pool.size, draw())
  for (let i = 0; i < PROBES_PER_PICK; i++) {
    const slot = pool.slotAt(pool.drawIndex(draw()))
    inFlight.note(perRate(slot))
    if (held.length === POOL_SIZE) held.shift()
    held.push({ slot, moves: slot.moves, at: now, uses })
  }
}

/** How often a probe may be used, so that a pool of `size` endpoints does not run dry; rounded by chance. */
export function reuse(size: number, draw: number): number {
  const surplus = (1 - POOL_SIZE / size) * PROBES_PER_PICK - REMOVED_PER_PICK
  const uses = surplus > 0 ? Math.max(1, (1 + SURPLUS) / surplus) : USES_MAX
  return Math.min(USES_MAX, Math.floor(uses + draw))
}

/** Of probes, of which there is at least one: the quickest cold one, else the hot one with the least in flight. */
export function bestOf(held: readonly Probe[], hotAbove: number, now: Millis): Probe {
  let best = held[0] as Probe
  for (const one of held) if (compare(one.slot, best.slot, hotAbove, now) < 0) best = one
  return best
}

/** Below zero where the first is the better. */
function compare(a: EndpointSlot, b: EndpointSlot, hotAbove: number, now: Millis): number {
  const flightA = perRate(a)
  const flightB = perRate(b)
  const hotA = flightA > hotAbove
  if (hotA !== flightB > hotAbove) return hotA ? 1 : -1
  if (hotA) return flightA - flightB
  const latencyA = latencyNow(a, now)
  const latencyB = latencyNow(b, now)
  return latencyA === latencyB ? flightA - flightB : latencyA - latencyB
}

/** Its uses go down, and one probe leaves: by turns the oldest and the worst, since those that nobody wants would else fill the pool. */
function use(probes: Probes, best: Probe, hotAbove: number, now: Millis): void {
  const { held } = probes
  best.uses--
  if (best.uses <= 0) held.splice(held.indexOf(best), 1)
  if (held.length <= 1) return
  let leaves = 0
  if (probes.removeWorst)
    for (let at = 1; at < held.length; at++)
      if (compare((held[leaves] as Probe).slot, (held[at] as Probe).slot, hotAbove, now) < 0) leaves = at
  held.splice(leaves, 1)
  probes.removeWorst = !probes.removeWorst
}
