/**
 * Keeps a worker away from endpoints whose answers speak against them, by what this worker alone has seen: failures in a row at once, rates and times to
 * first byte at the end of each window. Backpressure never sends an endpoint away; it and failures lower its trust.
 * Invariants: a third of a model's endpoints at most is away by these rules (one always may, where another serves); where fewer than half
 * of them serve, for whatever reason, outliers are let back until half do. Costs follow the endpoints that were asked or are in trouble, not how many there are.
 */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { OutlierReason } from '../routing/away.ts'
import type { EndpointSlot } from '../routing/endpoint-slot.ts'
import type { Outcome } from '../routing/ledger.ts'
import type { Candidates } from '../routing/model-groups.ts'
import { weightOf } from '../routing/pool.ts'
import { SERVING_TIERS } from '../routing/tiered-group.ts'
import { failing, slow } from './compare.ts'
import { Evidence } from './evidence.ts'
import { passTime, rampOf, type Standing, sendAway, succeed } from './standing.ts'
import { forgive, noteAnswer } from './trust.ts'

/** `spared`: it would be away, were there not too many already. */
export type OutlierNews = {
  readonly slot: EndpointSlot
  readonly change: 'out' | 'spared' | 'probation' | 'back' | 'panic'
  readonly why: OutlierReason
  /** Of `out`: for how long. */
  readonly forMs?: Millis
}

export type OutlierPorts = {
  /** What the endpoint is worth, or its tier, has changed. */
  resort(slot: EndpointSlot): void
  tell(news: OutlierNews): void
}

type Entry = { readonly group: Candidates; why: OutlierReason; standing: Standing }
type Counts = Record<OutlierReason | 'spared' | 'panic', number>

export class OutlierWatch {
  /** Since the start: by reason those sent away, those spared, and those let back by panic. */
  readonly counts: Counts = { 'failures-in-row': 0, 'success-rate': 0, latency: 0, spared: 0, panic: 0 }
  readonly #ports: OutlierPorts
  readonly #windows = new Map<Candidates, Map<EndpointSlot, Evidence>>()
  /** Over all windows. */
  #rows = 0
  readonly #entries = new Map<EndpointSlot, Entry>()
  readonly #distrusted = new Set<EndpointSlot>()
  /** For how many windows, one after the other, each was slow. */
  #slowFor = new Map<EndpointSlot, number>()
  /** Within this window: each is told of once. */
  readonly #spared = new Set<EndpointSlot>()
  #sweepAt: number | undefined

  constructor(ports: OutlierPorts) {
    this.#ports = ports
  }

  /** Endpoints that are away, or on their way back. */
  count(state: 'out' | 'probation'): number {
    let count = 0
    for (const { standing } of this.#entries.values()) if (standing.state === state) count++
    return count
  }

  // ——— what answers say ———

  beganAfter(slot: EndpointSlot, group: Candidates, ms: Millis): void {
    this.#evidence(slot, group)?.beganAfter(ms)
  }

  /** An attempt that was called off before its answer began. */
  silentFor(slot: EndpointSlot, group: Candidates, ms: Millis): void {
    this.#evidence(slot, group)?.silentFor(ms)
  }

  score(slot: EndpointSlot, group: Candidates, outcome: Outcome, now: Millis): void {
    switch (outcome) {
      case 'neither':
        return
      case 'success':
        this.#evidence(slot, group)?.add(outcome)
        slot.failuresInRow = 0
        if (slot.ramp < 1) this.#succeed(slot)
        if (slot.goodness < 1) this.#note(slot, true)
        return
      case 'lost':
        return this.#note(slot, false)
      case 'backpressure':
        this.#evidence(slot, group)?.add(outcome)
        return this.#note(slot, false)
      case 'failure':
        this.#evidence(slot, group)?.add(outcome)
        slot.failuresInRow++
        this.#note(slot, false)
        return this.#afterFailure(slot, group, now)
      default:
        return outcome satisfies never
    }
  }

  /** Undefined: the window holds so much that to look at more of it would take a long turn. The next begins with others. */
  #evidence(slot: EndpointSlot, group: Candidates): Evidence | undefined {
    let window = this.#windows.get(group)
    if (window === undefined) {
      window = new Map()
      this.#windows.set(group, window)
    }
    const known = window.get(slot)
    if (known !== undefined || this.#rows >= limits.outlierRowsMax) return known
    this.#rows++
    const fresh = new Evidence()
    window.set(slot, fresh)
    return fresh
  }

  #note(slot: EndpointSlot, good: boolean): void {
    this.#distrusted.add(slot)
    if (noteAnswer(slot, good)) this.#ports.resort(slot)
  }

  #succeed(slot: EndpointSlot): void {
    const entry = this.#entries.get(slot)
    if (entry !== undefined) entry.standing = succeed(entry.standing)
  }

  #afterFailure(slot: EndpointSlot, group: Candidates, now: Millis): void {
    const inProbation = this.#entries.get(slot)?.standing.state === 'probation'
    if (inProbation || slot.failuresInRow >= limits.outlierFailuresInRow) this.#sendAway(slot, group, 'failures-in-row', now)
  }

  // ——— as time passes ———

  /** Every second or so. */
  tick(now: Millis): void {
    for (const slot of this.#distrusted) {
      if (forgive(slot)) this.#ports.resort(slot)
      if (slot.goodness === 1 || slot.gone) this.#distrusted.delete(slot)
    }
    for (const [slot, entry] of this.#entries) this.#passTime(slot, entry, now)
    this.#sweepAt ??= now + limits.outlierWindow
    if (now >= this.#sweepAt) this.#sweep(now)
  }

  #passTime(slot: EndpointSlot, entry: Entry, now: Millis): void {
    const { standing, group, why } = entry
    if (slot.gone) return void this.#entries.delete(slot)
    if (standing.state === 'out' && isPanic(group)) {
      this.counts.panic++
      return this.#settleIn(slot, entry, { state: 'in', times: standing.times, since: now }, 'panic')
    }
    const next = passTime(standing, now)
    if (next === standing) return
    if (next === undefined) return void this.#entries.delete(slot)
    if (next.state === 'in' && standing.state === 'in') entry.standing = next
    else if (next.state === 'in') this.#settleIn(slot, entry, next, 'back')
    else {
      if (standing.state === 'out') this.#ports.tell({ slot, change: 'probation', why })
      this.#settleIn(slot, entry, next, undefined)
    }
  }

  /** It may be asked again, with the share that its standing gives it. */
  #settleIn(slot: EndpointSlot, entry: Entry, standing: Standing, change: 'back' | 'panic' | undefined): void {
    entry.standing = standing
    slot.outlier = undefined
    slot.failuresInRow = 0
    slot.ramp = rampOf(standing)
    this.#ports.resort(slot)
    if (change !== undefined) this.#ports.tell({ slot, change, why: entry.why })
  }

  #sweep(now: Millis): void {
    this.#sweepAt = now + limits.outlierWindow
    const slowFor = new Map<EndpointSlot, number>()
    for (const [group, window] of this.#windows) {
      for (const slot of failing(window)) this.#sendAway(slot, group, 'success-rate', now)
      for (const slot of slow(window)) {
        const windows = (this.#slowFor.get(slot) ?? 0) + 1
        slowFor.set(slot, windows)
        if (windows >= limits.outlierSlowWindows || slot.ramp < 1) this.#sendAway(slot, group, 'latency', now)
      }
    }
    this.#slowFor = slowFor
    this.#windows.clear()
    this.#rows = 0
    this.#spared.clear()
  }

  #sendAway(slot: EndpointSlot, group: Candidates, why: OutlierReason, now: Millis): void {
    if (slot.awayFor !== undefined || slot.gone) return
    if (!mayLeave(slot, group, why)) {
      this.counts.spared++
      slot.failuresInRow = 0
      if (!this.#spared.has(slot)) this.#ports.tell({ slot, change: 'spared', why })
      this.#spared.add(slot)
      return
    }
    const standing = sendAway(this.#entries.get(slot)?.standing, why, now)
    this.#entries.set(slot, { group, why, standing })
    this.counts[why]++
    slot.outlier = why
    slot.failuresInRow = 0
    slot.ramp = 1
    this.#ports.resort(slot)
    this.#ports.tell({ slot, change: 'out', why, forMs: millis(standing.until - now) })
  }
}

function mayLeave(slot: EndpointSlot, group: Candidates, why: OutlierReason): boolean {
  const { serving, away, weight } = census(group)
  if (serving < 2) return false
  // One that serves, however badly, is not sent away when the others cannot carry its part.
  if (why !== 'failures-in-row' && slot.endpoint.weight > weight - weightOf(slot)) return false
  return away < Math.max(1, Math.floor((serving + away) * limits.outlierShareMax))
}

function isPanic(group: Candidates): boolean {
  const { serving, away } = census(group)
  return serving < (serving + away) * limits.outlierPanicShare
}

/** Of a model: endpoints that serve, their weight, and those that are away or FAILED. */
function census({ tiers }: Candidates): { readonly serving: number; readonly away: number; readonly weight: number } {
  let serving = 0
  let away = 0
  let weight = 0
  for (const [at, tier] of tiers.entries())
    if (at < SERVING_TIERS) {
      serving += tier.size
      weight += tier.weight
    } else away += tier.size
  return { serving, away, weight }
}
