/**
 * Where requests of models that limit them come by before they are sent: knows which request waits at which model's gate, sends on the next in the turn in
 * which room appears, and looks again by itself as long as anybody waits. Requests of models without such a row pass it unseen.
 * Invariant: a request that waits is waited for by one timer at most, and has left the queue when its exchange ends, whatever ends it.
 */
import type { Millis } from '../../core/units.ts'
import { valueText } from '../http2/header-field.ts'
import type { Exchange } from '../relay/exchange.ts'
import type { Outcome } from '../routing/ledger.ts'
import type { Candidates } from '../routing/model-groups.ts'
import { type Arrival, Gate, type Refused } from './gate.ts'
import { gateRules } from './gate-rules.ts'
import { type Pass, waits } from './pass.ts'
import type { TimerWheel } from './timer-wheel.ts'
import { WaitTally } from './wait-tally.ts'

export type DeskOwner = {
  now(): Millis
  /** Its turn has come. */
  send(exchange: Exchange): void
  refuse(exchange: Exchange, refused: Refused): void
}

type ExchangePass = Pass<Exchange>

export class FrontDesk {
  readonly waits = new WaitTally()
  readonly #owner: DeskOwner
  readonly #wheel: TimerWheel
  readonly #workers: number
  readonly #gates = new Map<string, Gate<Exchange>>()

  constructor(owner: DeskOwner, wheel: TimerWheel, workers: number) {
    this.#owner = owner
    this.#wheel = wheel
    this.#workers = workers
  }

  /** False when the request waits, or was refused. One that was let through once is not asked again. */
  admits(exchange: Exchange, model: string, candidates: Candidates, now: Millis): boolean {
    if (exchange.pass !== undefined) return true
    const gate = this.#gateOf(model, candidates)
    if (gate === undefined) return true
    const arrival = arrivalOf(exchange, gate)
    if (goesOn(exchange)) {
      exchange.pass = gate.passBy(arrival, now)
      return true
    }
    gate.busy = true
    const met = gate.arrive(arrival, now, (pass, why) => this.#owner.refuse(pass.holder, why))
    gate.busy = false
    if ('reason' in met) this.#owner.refuse(exchange, met)
    else exchange.pass = met
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
  charge(pass: ExchangePass, now: Millis): void {
    pass.gate.opened(pass, now)
  }

  settle(pass: ExchangePass, outcome: Outcome, held: Millis): void {
    pass.gate.closed(pass, outcome === 'success', held)
  }

  answerBegan({ gate }: ExchangePass, took: Millis, now: Millis): void {
    gate.estimates.firstByte.add(took)
    gate.estimates.quickest.add(took, now)
  }

  /** The exchange is over. */
  ended(exchange: Exchange, pass: ExchangePass): void {
    const { gate } = pass
    gate.finish(pass, exchange.received, exchange.answers.messages, this.#owner.now())
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

  #gateOf(model: string, candidates: Candidates): Gate<Exchange> | undefined {
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
  #renew(gate: Gate<Exchange>, candidates: Candidates): void {
    const row = candidates.admission
    gate.candidates = candidates
    if (gate.row === row) return
    gate.row = row
    gate.room.forget()
    if (row !== undefined) gate.rules = gateRules(row, this.#workers)
  }

  #wait(pass: ExchangePass): void {
    if (pass.deadline !== undefined && pass.deadline <= pass.due) return // its own timer ends it
    pass.timer = this.#wheel.schedule(pass.due, () => {
      const waited = Math.round(this.#owner.now() - pass.arrivedAt)
      this.#owner.refuse(pass.holder, pass.gate.refusal('queue-timeout', pass, `it waited for ${waited} ms, and no place became free`))
    })
  }

  #waitIsOver(pass: ExchangePass): void {
    if (pass.timer !== undefined) this.#wheel.cancel(pass.timer)
    pass.timer = undefined
    const tell = pass.onOver
    pass.onOver = undefined
    tell?.()
  }

  /** As many as there is room for. What it sends may end at once and come back here: then the first call goes on. */
  #letThrough(gate: Gate<Exchange>): void {
    if (gate.busy) return
    gate.busy = true
    this.#renew(gate, gate.candidates)
    for (let pass = this.#nextOf(gate); pass !== undefined; pass = this.#nextOf(gate)) {
      const now = this.#owner.now()
      // Its client is gone, and will be told so in a moment.
      if (pass.holder.down.gone) gate.giveBack(pass)
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

  #nextOf(gate: Gate<Exchange>): ExchangePass | undefined {
    return gate.next(this.#owner.now())
  }

  /** A net below all that makes room: nobody waits for ever because an event was not told. Who holds back is let through by it in time. */
  #watch(gate: Gate<Exchange>): void {
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

/** A request of a sequence that has begun is for the server that holds its state: it waits behind no other. */
const goesOn = ({ scanner }: Exchange): boolean => scanner?.sequence?.starts === false

function arrivalOf(exchange: Exchange, { rules }: Gate<Exchange>): Arrival<Exchange> {
  const { deadline, received, requestEnded } = exchange
  const band = metadata(exchange, rules.priorityKey)
  const tenant = metadata(exchange, rules.tenantKey) ?? ''
  return { holder: exchange, deadline, bytes: received, more: !requestEnded, band, tenant }
}

function metadata({ head }: Exchange, key: string | undefined): string | undefined {
  if (key === undefined) return undefined
  for (const field of head.forward) if (field.name === key) return valueText(field)
  return undefined
}
