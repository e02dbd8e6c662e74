/**
 * Where requests of models that limit them come by before they are sent: knows which request waits at which model's gate, sends on the next in the turn in
 * which room appears, and looks again by itself as long as anybody waits. Requests of models without such a row pass it unseen. What a request is
 * (`Holder`) its reader knows.
 * Invariant: a request that waits is waited for by one timer at most, and has left the queue when it ends, whatever ends it.
 */
import type { Millis } from '../../core/units.ts'
import type { Outcome } from '../routing/ledger.ts'
import type { Candidates } from '../routing/model-groups.ts'
import { type Arrival, Gate, type Refused } from './gate.ts'
import { type GateRules, gateRules } from './gate-rules.ts'
import { type Pass, waits } from './pass.ts'
import type { TimerWheel } from './timer-wheel.ts'
import { WaitTally } from './wait-tally.ts'

export type DeskOwner<Holder> = {
  now(): Millis
  /** Its turn has come. */
  send(holder: Holder): void
  refuse(holder: Holder, refused: Refused): void
}

/** What the desk asks about a request. */
export type DeskReader<Holder> = {
  arrivalOf(holder: Holder, rules: GateRules): Arrival<Holder>
  /** It is for the server that has begun something for it, and waits behind no other. */
  goesOn(holder: Holder): boolean
  /** Its client is, and it will be told so in a moment. */
  gone(holder: Holder): boolean
  /** Of the request, and of its answer: so far. */
  bytes(holder: Holder): number
  messages(holder: Holder): number
}

/** Keeps what the desk gives it. */
type Guest<Holder> = { pass: Pass<Holder> | undefined }

export class FrontDesk<Holder extends Guest<Holder>> {
  readonly waits = new WaitTally()
  readonly #owner: DeskOwner<Holder>
  readonly #reader: DeskReader<Holder>
  readonly #wheel: TimerWheel
  readonly #workers: number
  readonly #gates = new Map<string, Gate<Holder>>()

  constructor(owner: DeskOwner<Holder>, reader: DeskReader<Holder>, wheel: TimerWheel, workers: number) {
    this.#owner = owner
    this.#reader = reader
    this.#wheel = wheel
    this.#workers = workers
  }

  /** False when the request waits, or was refused. One that was let through once is not asked again. */
  admits(holder: Holder, model: string, candidates: Candidates, now: Millis): boolean {
    if (holder.pass !== undefined) return true
    const gate = this.#gateOf(model, candidates)
    if (gate === undefined) return true
    const arrival = this.#reader.arrivalOf(holder, gate.rules)
    if (this.#reader.goesOn(holder)) {
      holder.pass = gate.passBy(arrival, now)
      return true
    }
    gate.busy = true
    const met = gate.arrive(arrival, now, (pass, why) => this.#owner.refuse(pass.holder, why))
    gate.busy = false
    if ('reason' in met) this.#owner.refuse(holder, met)
    else holder.pass = met
    if ('reason' in met) this.#watch(gate)
    else if (!waits(met)) {
      this.waits.add(0)
      return true
    } else {
      this.#wait(met)
      this.#letThrough(gate) // there may be room that those before it leave, since they hold back
    }
    return false
  }

  /** With the ledger. */
  charge(pass: Pass<Holder>, now: Millis): void {
    pass.gate.opened(pass, now)
  }

  settle(pass: Pass<Holder>, outcome: Outcome, held: Millis): void {
    pass.gate.closed(pass, outcome === 'success', held)
  }

  answerBegan({ gate }: Pass<Holder>, took: Millis, now: Millis): void {
    gate.estimates.firstByte.add(took)
    gate.estimates.quickest.add(took, now)
  }

  /** The request is over. */
  ended(holder: Holder, pass: Pass<Holder>): void {
    const { gate } = pass
    gate.finish(pass, this.#reader.bytes(holder), this.#reader.messages(holder), this.#owner.now())
    this.#waitIsOver(pass)
    this.#letThrough(gate)
  }

  /** Endpoints came, went or changed, or told of their load: there may be more room than there was. */
  onFleet(): void {
    for (const [model, gate] of this.#gates) {
      gate.room.forget()
      if (gate.line.count > 0) this.#letThrough(gate)
      else if (gate.idle && gate.candidates.admission === undefined) this.#gates.delete(model)
    }
  }

  /** How many wait, by the names of their bands. */
  get waiting(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>()
    for (const { rules, line } of this.#gates.values())
      for (const [at, name] of rules.bands.entries()) counts.set(name, (counts.get(name) ?? 0) + (line.bands[at]?.count ?? 0))
    return counts
  }

  get waitingBytes(): number {
    let sum = 0
    for (const { line } of this.#gates.values()) sum += line.bytes
    return sum
  }

  #gateOf(model: string, candidates: Candidates): Gate<Holder> | undefined {
    const row = candidates.admission
    if (row === undefined) return undefined
    let gate = this.#gates.get(model)
    if (gate === undefined) {
      gate = new Gate(model, gateRules(row, this.#workers), row, candidates)
      this.#gates.set(model, gate)
    }
    this.#renew(gate, candidates)
    return gate
  }

  /** The model's row may have changed since. */
  #renew(gate: Gate<Holder>, candidates: Candidates): void {
    const row = candidates.admission
    gate.candidates = candidates
    if (gate.row === row) return
    gate.row = row
    gate.room.forget()
    if (row !== undefined) gate.rules = gateRules(row, this.#workers)
  }

  #wait(pass: Pass<Holder>): void {
    if (pass.deadline !== undefined && pass.deadline <= pass.due) return // its own timer ends it
    pass.timer = this.#wheel.schedule(pass.due, () => {
      const waited = Math.round(this.#owner.now() - pass.arrivedAt)
      this.#owner.refuse(pass.holder, pass.gate.refusal('queue-timeout', pass, `it waited for ${waited} ms, and no place became free`))
    })
  }

  #waitIsOver(pass: Pass<Holder>): void {
    if (pass.timer !== undefined) this.#wheel.cancel(pass.timer)
    pass.timer = undefined
    const tell = pass.onOver
    pass.onOver = undefined
    tell?.()
  }

  /** As many as there is room for. What it sends may end at once and come back here: then the first call goes on. */
  #letThrough(gate: Gate<Holder>): void {
    if (gate.busy) return
    gate.busy = true
    this.#renew(gate, gate.candidates)
    for (let pass = this.#nextOf(gate); pass !== undefined; pass = this.#nextOf(gate)) {
      const now = this.#owner.now()
      if (this.#reader.gone(pass.holder)) gate.giveBack(pass)
      else if (gate.comesTooLate(pass, now)) {
        gate.giveBack(pass)
        this.#owner.refuse(pass.holder, gate.refusal('deadline-unmeetable', pass, 'while it waited its deadline came too near'))
      } else {
        this.waits.add(now - pass.arrivedAt)
        this.#owner.send(pass.holder)
        this.#waitIsOver(pass)
      }
    }
    gate.busy = false
    this.#watch(gate)
  }

  #nextOf(gate: Gate<Holder>): Pass<Holder> | undefined {
    return gate.next(this.#owner.now())
  }

  /** A net below all that makes room: nobody waits for ever because an event was not told. Who holds back is let through by it in time. */
  #watch(gate: Gate<Holder>): void {
    const at = gate.line.count === 0 ? undefined : gate.looksAgainAt(this.#owner.now())
    if (gate.net !== undefined) {
      if (at !== undefined && gate.net.at <= at) return
      this.#wheel.cancel(gate.net)
      gate.net = undefined
    }
    if (at === undefined) return
    gate.net = this.#wheel.schedule(at, () => {
      gate.net = undefined
      this.#letThrough(gate)
    })
  }
}
