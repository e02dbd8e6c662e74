/**
 * Decides for one model whether a request goes on, waits or is refused, and who goes when room appears. Takes data and the time; what it does not know of a
 * request (`Holder`) it never looks at.
 * Invariants: nobody waits while there is room, but a tenant above its share whose starts would crowd; nobody is charged who was not let through; each attempt that is opened is closed once, with the ledger.
 */
import { limits } from '../../core/limits.ts'
import type { Reason } from '../../core/mesh-error.ts'
import type { Admission } from '../../core/mesh-snapshot.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { Candidates } from '../routing/model-groups.ts'
import { Estimates } from './estimates.ts'
import type { Tenant } from './fair-band.ts'
import type { GateRules } from './gate-rules.ts'
import { type Pass, workOf } from './pass.ts'
import { NOWHERE } from './placed-heap.ts'
import { Room } from './room.ts'
import type { Timer } from './timer-wheel.ts'
import { WaitingLine } from './waiting-line.ts'

export type Arrival<Holder> = {
  readonly holder: Holder
  readonly deadline: Millis | undefined
  /** Of the request, so far. */
  readonly bytes: number
  /** More of it is to come, which it will hold as well while it waits. */
  readonly more: boolean
  readonly band: string | undefined
  readonly tenant: string
}

export type Refused = { readonly reason: Reason; readonly detail: string; readonly again: Millis }

export class Gate<Holder> {
  readonly model: string
  rules: GateRules
  /** That the rules were made of; undefined once the model has none. */
  row: Admission | undefined
  /** The model's endpoints, by the request that came last. */
  candidates: Candidates
  /** Attempts of this worker. */
  open = 0
  readonly line = new WaitingLine<Holder>()
  readonly room = new Room()
  readonly estimates = new Estimates()
  /** Of its owner: that it lets requests through just now, and when it looks again by itself. */
  busy = false
  net: Timer | undefined
  #order = 0

  constructor(model: string, rules: GateRules, row: Admission, candidates: Candidates) {
    this.model = model
    this.rules = rules
    this.row = row
    this.candidates = candidates
  }

  /** Nothing of it is left that a new one would not have. */
  get idle(): boolean {
    return this.open === 0 && this.line.count === 0
  }

  /** A pass that waits has a place. Those that had to give way to it are told to `shed`, before it is answered. */
  arrive(arrival: Arrival<Holder>, now: Millis, shed: (pass: Pass<Holder>, why: Refused) => void): Pass<Holder> | Refused {
    const pass = this.#passOf(arrival, now)
    const refused =
      this.line.count === 0 && this.#hasRoom(now) && this.#mayBegin(pass, now) ? this.#letIn(pass, now) : this.#queue(pass, now, shed)
    if (refused === undefined) return pass
    pass.tenant.held--
    return refused
  }

  /** For what must not wait behind others: it goes on whatever is open. */
  passBy(arrival: Arrival<Holder>, now: Millis): Pass<Holder> {
    const pass = this.#passOf(arrival, now)
    this.line.band(pass.band).charge(pass)
    return pass
  }

  /** Who goes now, charged; undefined when there is no room, or nobody waits, or all who do hold back. */
  next(now: Millis): Pass<Holder> | undefined {
    return this.line.count > 0 && this.#hasRoom(now) ? this.line.next(this.room.limit, now) : undefined
  }

  /** When to look at those who wait at the latest. */
  looksAgainAt(now: Millis): Millis {
    const net = now + limits.queueNet
    const held = this.#hasRoom(now) ? (this.line.heldUntil ?? net) : net
    return millis(Math.min(net, Math.max(held, now)))
  }

  /** With the ledger: an attempt of the request takes a place. */
  opened({ tenant }: Pass<Holder>, now: Millis): void {
    this.open++
    tenant.starts.began(this.room.limit - this.open + tenant.starts.open + 1, this.estimates.hold.value, now)
  }

  closed({ tenant }: Pass<Holder>, success: boolean, held: Millis): void {
    this.open--
    tenant.starts.ended(held, this.estimates.hold.value)
    if (success) this.estimates.hold.add(held)
  }

  /** Whether it could still be answered before its deadline if it were sent now. */
  comesTooLate({ deadline }: Pick<Pass<Holder>, 'deadline'>, now: Millis): boolean {
    return deadline !== undefined && deadline - now < (this.estimates.quickest.read(now) ?? 0)
  }

  /** The request is over, wherever it was. */
  finish(pass: Pass<Holder>, requestBytes: number, answerMessages: number, now: Millis): void {
    pass.tenant.held--
    this.line.leave(pass)
    this.line.band(pass.band).see(pass.tenant, this.estimates.hold.value, now)
    if (!pass.charged) return
    const work = workOf(requestBytes, answerMessages)
    this.line.band(pass.band).correct(pass.tenant, work - pass.work)
    this.estimates.work.add(work)
    this.estimates.rest.add(work - pass.knownWork)
    pass.tenant.learn(work - pass.knownWork)
  }

  /** It was let through, and is not sent after all. */
  giveBack(pass: Pass<Holder>): void {
    this.line.band(pass.band).correct(pass.tenant, -pass.work)
    pass.charged = false
  }

  /** When whoever is refused now may try again. */
  again(pass: Pass<Holder>): Millis {
    const known = this.estimates.waitFor(this.line.workBefore(pass), this.#atOnce)
    return known === undefined ? limits.retryHintUsual : millis(Math.min(Math.max(known, limits.retryHintMin), limits.retryHintMax))
  }

  refusal(reason: Reason, pass: Pass<Holder>, words: string): Refused {
    return { reason, detail: `model ${JSON.stringify(this.model)}: ${words}`, again: this.again(pass) }
  }

  get #atOnce(): number {
    return this.room.limit === Number.POSITIVE_INFINITY ? Math.max(1, this.open) : this.room.limit
  }

  #hasRoom(now: Millis): boolean {
    const { rules, row, estimates } = this
    return row === undefined || this.open < this.room.ask(this.candidates, rules, estimates.hold.value, this.open, now)
  }

  #mayBegin({ band, tenant }: Pass<Holder>, now: Millis): boolean {
    return this.line.band(band).mayBegin(tenant, this.room.limit, now)
  }

  #letIn(pass: Pass<Holder>, now: Millis): Refused | undefined {
    if (this.comesTooLate(pass, now)) return this.refusal('deadline-unmeetable', pass, NEVER_SO_QUICK)
    this.line.band(pass.band).charge(pass)
    return undefined
  }

  #queue(pass: Pass<Holder>, now: Millis, shed: (pass: Pass<Holder>, why: Refused) => void): Refused | undefined {
    const { estimates, line, rules } = this
    const wait = estimates.waitFor(line.workBefore(pass), this.#atOnce) ?? 0
    if (pass.deadline !== undefined && now + wait + (estimates.firstByte.value ?? 0) > pass.deadline)
      return this.refusal('deadline-unmeetable', pass, `about ${Math.round(wait)} ms to wait, and its deadline is nearer`)
    for (;;) {
      const victim = line.makeWay(pass, rules.bounds)
      if (victim === 'none') break
      if (victim === undefined) return this.#refuseFull(pass)
      const reason = victim.band > pass.band ? 'shed' : 'over-share'
      shed(victim, this.refusal(reason, victim, reason === 'shed' ? 'a request of a higher priority took its place' : OVER_SHARE))
    }
    line.join(pass)
    return undefined
  }

  #refuseFull(pass: Pass<Holder>): Refused {
    const band = this.line.bands[pass.band]
    const shares = band !== undefined && band.active.length > 1 && pass.tenant.queuedWork > 0
    if (shares) return this.refusal('over-share', pass, OVER_SHARE)
    return this.refusal('queue-full', pass, `${this.line.count} requests wait already`)
  }

  /**
   * A queue that does not get empty within the longest wait is no burst: more comes than can be done, and whoever waits long makes everybody behind him wait as
   * long. From then on its tenant's requests wait for a part of that time, in which some places come free all the same, and those that are served are served soon.
   */
  #waitMax({ waitedForSince }: Tenant<Holder>, now: Millis): number {
    const { waitMax } = this.rules
    if (waitedForSince === undefined || now - waitedForSince < waitMax) return waitMax
    const placeEvery = (this.estimates.hold.value ?? 0) / this.#atOnce
    return Math.min(waitMax, Math.max(STANDING_WAIT_SHARE * waitMax, STANDING_PLACES * placeEvery))
  }

  #passOf({ holder, deadline, bytes, more, band: said, tenant: name }: Arrival<Holder>, now: Millis): Pass<Holder> {
    const { rules } = this
    const band = rules.bandOf(said)
    const line = this.line.band(band)
    const tenant = line.tenant(name, rules.weightOf(name))
    tenant.held++
    line.see(tenant, this.estimates.hold.value, now)
    const knownWork = workOf(bytes, 0)
    const rest = tenant.usualRest ?? this.estimates.rest.value ?? 1
    const patience = millis(now + this.#waitMax(tenant, now))
    return {
      ...{
        holder,
        gate: this,
        band,
        tenant,
        arrivedAt: now,
        deadline,
        knownWork,
        place: NOWHERE,
        charged: false,
        timer: undefined,
        onOver: undefined,
      },
      due: deadline === undefined || deadline > patience ? patience : deadline,
      work: knownWork + Math.max(rest, 0),
      bytes: more ? Math.max(bytes, limits.streamWindowStart) : bytes,
      order: this.#order++,
    }
  }
}

const STANDING_WAIT_SHARE = 0.1
const STANDING_PLACES = 4
const OVER_SHARE = 'the queue is full, and its tenant has more waiting than others'
const NEVER_SO_QUICK = 'its deadline is nearer than the quickest answer of late'
