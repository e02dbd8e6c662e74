/**
 * Copies of requests that another model answers for nobody. A client's request waits for nothing of its shadow, shares no credit with it and ends as it
 * would without: the shadow begins in a later turn, with bytes of its own, and its answer is taken in at full speed and dropped.
 * Invariants: a shadow is asked once and never again; it is charged and settled like any attempt; how many are open, how long, and what they hold is
 * bounded, and what would go beyond is left out and counted.
 */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { RequestTally } from '../admission/request-tally.ts'
import type { TimerWheel } from '../admission/timer-wheel.ts'
import type { OpenInflater } from '../grpc/request-scanner.ts'
import { GRPC } from '../grpc/status.ts'
import type { Connection } from '../http2/connection.ts'
import { type HeaderField, headerField } from '../http2/header-field.ts'
import type { EndpointSlot } from '../routing/endpoint-slot.ts'
import type { Ledger, Outcome } from '../routing/ledger.ts'
import { pick } from '../routing/pick.ts'
import type { RoutingTable } from '../routing/routing-table.ts'
import { type AttemptFailure, judge } from './attempt-failure.ts'
import type { Downstream } from './downstream.ts'
import { Exchange } from './exchange.ts'
import type { ExchangeEnd, ExchangeOwner } from './exchange-owner.ts'
import { candidatesOf, headOf } from './targets.ts'

export type ShadowPorts = {
  now(): Millis
  /** A number in [0, 1). */
  draw(): number
  routing(): RoutingTable
  open(slot: EndpointSlot): Connection | undefined
  readonly openInflater: OpenInflater
  readonly tally: RequestTally
}

export class Shadows implements ExchangeOwner {
  readonly retryCopies: { left: number } = { left: limits.shadowCopiesMax }
  readonly openInflater: OpenInflater
  open = 0
  readonly #ports: ShadowPorts
  readonly #ledger: Ledger
  readonly #wheel: TimerWheel

  constructor(ports: ShadowPorts, ledger: Ledger, wheel: TimerWheel) {
    this.openInflater = ports.openInflater
    this.#ports = ports
    this.#ledger = ledger
    this.#wheel = wheel
  }

  /** The client's request has been handed on whole, and is still here. */
  cast(of: Exchange): void {
    const bytes = of.wholeMessage
    const aim = of.aim?.shadow
    if (of.aim !== undefined) of.aim.shadow = undefined
    if (aim === undefined) return
    // Under another name the copy would say two, and its server would go by the last.
    if (aim.renames && of.scanner?.repeats === true) return this.skip()
    if (bytes === undefined || this.open >= limits.shadowsMax || bytes.length > this.retryCopies.left) return this.skip()
    const now = this.#ports.now()
    const until = millis(Math.min(of.deadline ?? Number.POSITIVE_INFINITY, now + limits.shadowLifeMax))
    const head = { ...of.head, forward: [...of.head.forward, IS_SHADOW] }
    const shadow = new Exchange(NOBODY, head, of.method, this, { now, deadline: until }, undefined)
    shadow.aim = aim
    shadow.enterLane(NOBODY)
    let given = 0
    bytes.forEach((chunk, start, end) => {
      given += end - start
      shadow.fromClient(chunk, start, end, given === bytes.length)
    })
    this.open++
    shadow.timer = this.#wheel.schedule(now, () => this.onRoutable(shadow))
  }

  /** There was to be one, and it cannot be. */
  skip(): void {
    this.#ports.tally.shadows.skipped++
  }

  onRoutable(shadow: Exchange): void {
    const { now, draw, routing, open } = this.#ports
    const at = now()
    const { deadline = at } = shadow
    if (at >= deadline) return shadow.leave(GRPC.CANCELLED)
    shadow.timer = this.#wheel.schedule(deadline, () => shadow.leave(GRPC.CANCELLED))
    const candidates = candidatesOf(shadow, routing())
    const slot = candidates && pick(candidates, { now: at, draw, excluded: [] })
    const connection = slot && open(slot)
    if (slot === undefined || connection === undefined) return shadow.leave(NOT_ASKED)
    this.#ledger.charge(slot, at)
    shadow.attempt(connection, headOf(shadow, millis(deadline - at)), slot, at)
  }

  onAttemptFailed(shadow: Exchange, failure: AttemptFailure): void {
    this.#settle(shadow, judge(failure).outcome, false)
    shadow.leave(GRPC.UNAVAILABLE)
  }

  onRefused(shadow: Exchange): void {
    shadow.leave(NOT_ASKED)
  }

  onAnswerBegan({ slot, attemptAt }: Exchange): void {
    if (slot === undefined) return
    const at = this.#ports.now()
    this.#ledger.answered(slot)
    slot.firstByte.record(millis(at - attemptAt), at)
  }

  expireIfDue(shadow: Exchange): boolean {
    if (this.#ports.now() < (shadow.deadline ?? 0)) return false
    shadow.leave(GRPC.CANCELLED)
    return true
  }

  onEnded(shadow: Exchange, { outcome, status, burning }: ExchangeEnd): void {
    if (shadow.timer !== undefined) this.#wheel.cancel(shadow.timer)
    this.#settle(shadow, outcome, burning)
    this.open--
    const { shadows } = this.#ports.tally
    if (status === GRPC.OK) shadows.ok++
    else if (status === NOT_ASKED) shadows.skipped++
    else if (status === GRPC.CANCELLED) shadows.cancelled++
    else shadows.failed++
  }

  readonly answerFields = (): readonly HeaderField[] => []

  // A shadow is one whole message of an inference method with one attempt, so these never come.
  onLocal(): void {}
  onFurther(): void {}
  onWhole(): void {}
  onOvertaken(): void {}
  onRivalEnded(): void {}

  #settle(shadow: Exchange, outcome: Outcome, burning: boolean): void {
    const { slot } = shadow
    if (slot === undefined) return
    shadow.slot = undefined
    this.#ledger.settle(slot, outcome, burning, shadow.answerBegan, this.#ports.now())
  }
}

/** No status of gRPC's: nobody was asked. */
const NOT_ASKED = -1
const IS_SHADOW = headerField('x-millrace-shadow', 'true')

/** Takes everything in at once, and keeps none of it. */
const NOBODY: Downstream = {
  remoteEnded: false,
  waitingBytes: 0,
  gone: false,
  sendHead() {},
  sendData: (_source, start, end) => end - start,
  sendTrailers() {},
  reset() {},
  returnCredit() {},
}
