/**
 * What is written down of requests and their attempts: with the ledger, at the gate of their model, for the watch over outliers, in the record of a
 * decision, and in the counters.
 * Invariant: what an attempt is charged with is settled once, whatever ends it.
 */
import { type Millis, millis } from '../../core/units.ts'
import type { FrontDesk } from '../admission/front-desk.ts'
import type { RequestTally } from '../admission/request-tally.ts'
import type { Explainer } from '../explain/explainer.ts'
import type { OutlierWatch } from '../outliers/outlier-watch.ts'
import type { EndpointSlot } from '../routing/endpoint-slot.ts'
import type { Ledger, Outcome } from '../routing/ledger.ts'
import type { Candidates } from '../routing/model-groups.ts'
import { loadAge } from '../routing/signal-age.ts'
import type { Exchange } from './exchange.ts'
import type { ExchangeEnd } from './exchange-owner.ts'
import { hearLoad } from './hear-load.ts'

export type BookPorts = {
  now(): Millis
  readonly tally: RequestTally
  readonly outliers: OutlierWatch
}

export class AttemptBooks {
  readonly #ports: BookPorts
  readonly #ledger: Ledger
  readonly #desk: FrontDesk<Exchange>
  readonly #explainer: Explainer

  constructor(ports: BookPorts, ledger: Ledger, desk: FrontDesk<Exchange>, explainer: Explainer) {
    this.#ports = ports
    this.#ledger = ledger
    this.#desk = desk
    this.#explainer = explainer
  }

  /** A request begins. */
  opened(): void {
    this.#ports.tally.requests++
    this.#ports.tally.open++
  }

  /** An attempt is about to begin. */
  charge(exchange: Exchange, slot: EndpointSlot, group: Candidates, now: Millis): void {
    this.#ports.tally.signals.note(loadAge(slot, now))
    this.#ledger.charge(slot, now)
    exchange.group = group
    if (exchange.pass !== undefined) this.#desk.charge(exchange.pass, now)
  }

  answerBegan({ slot, group, dispatchedAt, attemptAt, decision, pass }: Exchange): void {
    if (slot === undefined) return
    this.#ledger.answered(slot)
    if (group === undefined) return
    const at = this.#ports.now()
    const took = millis(at - attemptAt)
    slot.firstByte.record(took, at)
    this.#ports.outliers.beganAfter(slot, group, took)
    group.firstBytes?.record(millis(at - dispatchedAt))
    if (decision !== undefined) decision.firstByte = took
    if (pass !== undefined) this.#desk.answerBegan(pass, took, at)
  }

  /** An attempt has ended. `status` is what the client got; undefined while it has got none. */
  settle(exchange: Exchange, outcome: Outcome, status: number | undefined, burning: boolean): void {
    const { slot, group, pass } = exchange
    if (slot === undefined) return
    exchange.slot = undefined
    exchange.patience?.cancel()
    exchange.patience = undefined
    const at = this.#ports.now()
    this.#ledger.settle(slot, outcome, burning, exchange.answerBegan, at)
    this.#explainer.settle(exchange, outcome, status, at)
    if (pass !== undefined) this.#desk.settle(pass, outcome, millis(at - exchange.attemptAt))
    if (group === undefined) return
    const { outliers } = this.#ports
    if (burning && exchange.waitsForServer && !exchange.answerBegan) outliers.silentFor(slot, group, millis(at - exchange.attemptAt))
    outliers.score(slot, group, outcome, at)
  }

  /** A request is over, and with it its last attempt. */
  ended(exchange: Exchange, end: ExchangeEnd): void {
    const { now, tally } = this.#ports
    const { slot, pass } = exchange
    this.settle(exchange, end.outcome, end.status, end.burning)
    if (end.trailers !== undefined && slot !== undefined) hearLoad(slot, end.trailers, tally, now())
    tally.open--
    tally.messagesOut += exchange.answers.messages
    tally.byStatus[end.status] = (tally.byStatus[end.status] ?? 0) + 1
    if (pass !== undefined) this.#desk.ended(exchange, pass)
  }
}
