/**
 * Whose turn it is among the tenants of one priority band: start-time fair queueing by work. A virtual time advances with the work that is begun; each
 * tenant's next request starts where its last one ended, or now, if the tenant had nothing to do. The earliest start goes first, so over any span in
 * which two tenants wait they are given work by their weights, however many requests each sends. Within a tenant the nearest due time goes first, which is the
 * order of arrival where no deadlines are. A tenant above its share holds back where its starts would crowd (starts.ts).
 * Invariants: a tenant below its share never holds back; a tenant stands among the active while it has somebody waiting; nobody is served for what others did not use while it was away; a tenant is
 * remembered while anything of it waits, runs, or was charged beyond the virtual time, and so many of them at most.
 */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { Pass } from './pass.ts'
import { NOWHERE, type Placed, PlacedHeap } from './placed-heap.ts'
import { Presence } from './presence.ts'
import { Starts } from './starts.ts'

/** How far one request moves a tenant's mean. */
const MEAN_STEP = 0.2
/** Times its share: who asks for less goes beyond it by chance. */
const GREED = 2

export class Tenant<Holder> implements Placed {
  place = NOWHERE
  readonly name: string
  weight: number
  /** In virtual time: where its next request starts while one waits, and where all that it was given ends. */
  start = 0
  finish = 0
  /** Passes of it that exist: waiting or admitted. */
  held = 0
  seenIn = 0
  readonly starts = new Starts()
  queuedWork = 0
  /** Since when somebody of it has waited without a break. */
  waitedForSince: Millis | undefined
  /** Work beyond what was known at arrival, of its usual request. */
  usualRest: number | undefined
  readonly waiting = new PlacedHeap<Pass<Holder>>((a, b) => a.due < b.due || (a.due === b.due && a.order < b.order))

  constructor(name: string, weight: number) {
    this.name = name
    this.weight = weight
  }

  workDueBy(due: Millis): number {
    let work = 0
    for (const pass of this.waiting.items) if (pass.due <= due) work += pass.work
    return work
  }

  learn(rest: number): void {
    this.usualRest = this.usualRest === undefined ? rest : this.usualRest + MEAN_STEP * (rest - this.usualRest)
  }
}

export class FairBand<Holder> {
  count = 0
  queuedWork = 0
  #time = 0
  readonly #presence = new Presence()
  readonly #tenants = new Map<string, Tenant<Holder>>()
  readonly #active = new PlacedHeap<Tenant<Holder>>((a, b) => a.start < b.start)
  /** All beyond those who are remembered, and names too long to remember. */
  readonly #others = new Tenant<Holder>('', 1)

  /** Tenants that somebody waits for. */
  get active(): readonly Tenant<Holder>[] {
    return this.#active.items
  }

  tenant(name: string, weight: number): Tenant<Holder> {
    const known = this.#tenants.get(name)
    if (known !== undefined) {
      known.weight = weight
      return known
    }
    if (name.length > limits.tenantNameMax || (this.#tenants.size >= limits.tenantsMax && !this.#forgetOne())) return this.#others
    const fresh = new Tenant<Holder>(name, weight)
    this.#tenants.set(name, fresh)
    return fresh
  }

  /** Something of it begins or ends. `usual`: how long a request holds its place. */
  see(tenant: Tenant<Holder>, usual: number | undefined, now: Millis): void {
    this.#presence.see(tenant, now, millis(Math.max(usual ?? 0, limits.tenantLingers)))
  }

  /** A greedy one, that has more than its part of the places and asks for much more, holds back where its starts would crowd. */
  mayBegin({ starts, held, weight }: Tenant<Holder>, places: number, now: Millis): boolean {
    if (starts.next <= now) return true
    const part = (places * weight) / Math.max(this.#presence.weight, weight)
    return starts.open < part || held < GREED * part
  }

  /** When the first of those who hold back may go. */
  get heldUntil(): Millis {
    let soonest = Number.POSITIVE_INFINITY
    for (const { starts } of this.#active.items) soonest = Math.min(soonest, starts.next)
    return millis(soonest)
  }

  /** One that goes without waiting. While others wait it is not their time that advances by it. */
  charge(pass: Pass<Holder>): void {
    const { tenant, work } = pass
    pass.charged = true
    const start = Math.max(this.#time, tenant.finish)
    if (this.#active.size === 0) this.#time = start
    tenant.finish = start + work / tenant.weight
    if (tenant.place !== NOWHERE) this.#restart(tenant, tenant.finish)
  }

  join(pass: Pass<Holder>): void {
    const { tenant } = pass
    tenant.waitedForSince ??= pass.arrivedAt
    tenant.waiting.push(pass)
    this.#count(tenant, pass, 1)
    if (tenant.place !== NOWHERE) return
    tenant.start = Math.max(this.#time, tenant.finish)
    this.#active.push(tenant)
  }

  /** Takes out whose turn it is of those who need not hold back, and charges it. */
  next(places: number, now: Millis): Pass<Holder> | undefined {
    const tenant = this.#whoseTurn(places, now)
    const pass = tenant?.waiting.first
    if (tenant === undefined || pass === undefined) return undefined
    pass.charged = true
    this.#time = Math.max(this.#time, tenant.start)
    tenant.finish = tenant.start + pass.work / tenant.weight
    tenant.start = tenant.finish
    this.#takeOut(pass)
    if (tenant.place !== NOWHERE) this.#active.moved(tenant)
    return pass
  }

  /** Leaves without having been served, uncharged. */
  leave(pass: Pass<Holder>): void {
    this.#takeOut(pass)
  }

  /** What was charged for a request was too little, or, below zero, too much. */
  correct(tenant: Tenant<Holder>, work: number): void {
    tenant.finish = Math.max(0, tenant.finish + work / tenant.weight)
    if (tenant.place !== NOWHERE) this.#restart(tenant, tenant.start + work / tenant.weight)
  }

  /** Work of this band that is begun before the request is, when all share alike. */
  workBefore({ tenant, work, due, deadline }: Pass<Holder>): number {
    const own = deadline === undefined ? tenant.queuedWork : tenant.workDueBy(due)
    const share = (own + work) / tenant.weight
    let before = own
    for (const one of this.#active.items) if (one !== tenant) before += Math.min(one.queuedWork, share * one.weight)
    return before
  }

  /** The tenant that waits for the most work by its weight. */
  get fattest(): Tenant<Holder> | undefined {
    let most: Tenant<Holder> | undefined
    for (const one of this.#active.items) if (most === undefined || one.queuedWork / one.weight > most.queuedWork / most.weight) most = one
    return most
  }

  #whoseTurn(places: number, now: Millis): Tenant<Holder> | undefined {
    const { first, items } = this.#active
    if (first === undefined || this.mayBegin(first, places, now)) return first
    let turn: Tenant<Holder> | undefined
    for (const one of items) if ((turn === undefined || one.start < turn.start) && this.mayBegin(one, places, now)) turn = one
    return turn
  }

  #takeOut(pass: Pass<Holder>): void {
    const { tenant } = pass
    tenant.waiting.remove(pass)
    this.#count(tenant, pass, -1)
    if (tenant.waiting.size > 0) return
    tenant.waitedForSince = undefined
    this.#active.remove(tenant)
  }

  #count(tenant: Tenant<Holder>, { work }: Pass<Holder>, sign: 1 | -1): void {
    this.count += sign
    this.queuedWork += sign * work
    tenant.queuedWork += sign * work
    // Sums of fractions leave crumbs behind.
    if (this.count === 0) this.queuedWork = 0
    if (tenant.waiting.size === 0) tenant.queuedWork = 0
  }

  #restart(tenant: Tenant<Holder>, start: number): void {
    tenant.start = Math.max(this.#time, start)
    this.#active.moved(tenant)
  }

  /** Who has nothing here and owes nothing is as good as new. */
  #forgetOne(): boolean {
    for (const [name, tenant] of this.#tenants)
      if (tenant.held === 0 && tenant.finish <= this.#time) {
        this.#tenants.delete(name)
        return true
      }
    return false
  }
}
