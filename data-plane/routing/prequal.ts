/**
 * Prequal's rule of hot and cold: of a small pool of endpoints that were looked at lately, the quickest of those that are not hot; when all are hot, the
 * one with the least in flight. Hot is whose requests in flight are above a quantile of those seen lately.
 * Its probes are no calls here. What a probe asks is known to the proxy already: requests in flight from its own exact ledger, latency from answers that it
 * relayed. So a probe draws an endpoint into the pool, its numbers are read when they are used, and no server needs to know of another protocol. A
 * server of Prequal's answers with its latency at as many requests as it has now; here that is the time to the first byte in proportion to them.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
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

/** The lower half is what it is at this choice. Those that leave are used again. */
type Probe = {
  slot: EndpointSlot
  moves: number
  at: Millis
  uses: number
  flight: number
  hot: boolean
  /** Counts among the cold only. */
  latency: number
}

export function prequal(): Policy {
  const probesOf = new WeakMap<Pool, Probes>()
  const inFlight = new RecentQuantile(HOT_QUANTILE)
  return {
    name: 'PREQUAL',
    choose(pool, ask) {
      let probes = probesOf.get(pool)
      if (probes === undefined) {
        probes = new Probes()
        probesOf.set(pool, probes)
      }
      probes.forgetOld(ask.now)
      const uses = reuse(pool.size, ask.draw())
      for (let i = 0; i < PROBES_PER_PICK; i++) probes.add(pool.slotAt(pool.drawIndex(ask.draw())), uses, ask.now)
      probes.weigh(inFlight.value, ask.now)
      for (let back = 1; back <= PROBES_PER_PICK; back++) inFlight.note(probes.flightOf(back))
      if (ask.compared !== undefined) probes.tell(ask.compared)
      return probes.useBest()
    },
    terms: (slot, { now }) => ({ latency: slot.firstByte.read(now) ?? 'unknown', in_flight: perRate(slot), hot_above: inFlight.value }),
  }
}

/** In flight, by the size of the endpoint. */
const perRate = (slot: EndpointSlot): number => (slot.charged * 100) / rate(slot)

/** How often a probe may be used, so that a pool of `size` endpoints does not run dry; rounded by chance. */
export function reuse(size: number, draw: number): number {
  const surplus = (1 - POOL_SIZE / size) * PROBES_PER_PICK - REMOVED_PER_PICK
  const uses = surplus > 0 ? Math.max(1, (1 + SURPLUS) / surplus) : USES_MAX
  return Math.min(USES_MAX, Math.floor(uses + draw))
}

export class Probes {
  /** Oldest first, so many of them; behind those lie such as may be used again. */
  readonly #held: Probe[] = []
  #count = 0
  #removeWorst = false

  forgetOld(now: Millis): void {
    for (let at = this.#count - 1; at >= 0; at--) {
      const { slot, moves, at: since } = this.#held[at] as Probe
      if (now - since > limits.probeAgeMax || moves !== slot.moves || slot.gone) this.#remove(at)
    }
  }

  /** The oldest gives way to it. */
  add(slot: EndpointSlot, uses: number, now: Millis): void {
    if (this.#count === POOL_SIZE) this.#remove(0)
    const spare = this.#held[this.#count]
    if (spare === undefined) this.#held.push({ slot, moves: slot.moves, at: now, uses, flight: 0, hot: false, latency: 0 })
    else {
      spare.slot = slot
      spare.moves = slot.moves
      spare.at = now
      spare.uses = uses
    }
    this.#count++
  }

  /** The newest first: what is not in the processor's cache yet is fetched side by side. */
  weigh(hotAbove: number, now: Millis): void {
    for (let at = this.#count - 1; at >= 0; at--) {
      const one = this.#held[at] as Probe
      one.flight = perRate(one.slot)
      one.hot = one.flight > hotAbove
      one.latency = one.hot ? 0 : latencyOrGuess(one.slot, now) * (1 + one.flight)
    }
  }

  /** Of the last but so many, as it was weighed. */
  flightOf(back: number): number {
    return (this.#held[this.#count - back] as Probe).flight
  }

  tell(compared: EndpointSlot[]): void {
    for (let at = 0; at < this.#count; at++) {
      const { slot } = this.#held[at] as Probe
      if (!compared.includes(slot)) compared.push(slot)
    }
  }

  /**
   * Of those that were weighed, of which there is at least one: the quickest cold one, else the hot one with the least in flight. Its uses go down, and one
   * probe leaves: by turns the oldest and the worst, since those that nobody wants would else fill the pool.
   */
  useBest(): EndpointSlot {
    let best = 0
    for (let at = 1; at < this.#count; at++) if (this.#compare(at, best) < 0) best = at
    const probe = this.#held[best] as Probe
    const { slot } = probe
    probe.uses--
    if (probe.uses <= 0) this.#remove(best)
    if (this.#count > 1) this.#removeOne()
    return slot
  }

  #removeOne(): void {
    let leaves = 0
    if (this.#removeWorst) for (let at = 1; at < this.#count; at++) if (this.#compare(leaves, at) < 0) leaves = at
    this.#remove(leaves)
    this.#removeWorst = !this.#removeWorst
  }

  /** Below zero where the first is the better. */
  #compare(first: number, second: number): number {
    const a = this.#held[first] as Probe
    const b = this.#held[second] as Probe
    if (a.hot !== b.hot) return a.hot ? 1 : -1
    return a.latency === b.latency ? a.flight - b.flight : a.latency - b.latency
  }

  #remove(at: number): void {
    const held = this.#held
    const last = --this.#count
    const one = held[at] as Probe
    for (let i = at; i < last; i++) held[i] = held[i + 1] as Probe
    held[last] = one
  }
}
