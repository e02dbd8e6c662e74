/**
 * The story of one request: identify → admit → pick → open → relay → settle.
 * Branches stand here, leaves lie flat in the subject folders, and the world is behind `Ports`. One service serves one worker.
 * Invariant: each request that was opened ends once, by `onEnded`, whatever ends it.
 */
import { limits } from '../core/limits.ts'
import { REFUSALS, type Reason } from '../core/mesh-error.ts'
import { type Millis, millis } from '../core/units.ts'
import { FrontDesk } from './admission/front-desk.ts'
import type { Refused } from './admission/gate.ts'
import { IMPATIENCE_WORDS, type Impatience, Patience } from './admission/patience.ts'
import { exchangeReader } from './admission/read-exchange.ts'
import type { Complaint, RequestTally } from './admission/request-tally.ts'
import type { RetryBudget } from './admission/retry-budget.ts'
import type { TimerWheel } from './admission/timer-wheel.ts'
import { Explainer } from './explain/explainer.ts'
import type { LocalAnswer, OwnMethod } from './grpc/methods.ts'
import { type RequestHead, readRequestHead } from './grpc/request-head.ts'
import { type OpenInflater, RequestScanner, type ScanRefusal } from './grpc/request-scanner.ts'
import type { ScanWishes } from './grpc/scan-wishes.ts'
import type { Connection } from './http2/connection.ts'
import { type HeaderField, valueText } from './http2/header-field.ts'
import { resetMalformed, Stream } from './http2/stream.ts'
import type { OutlierWatch } from './outliers/outlier-watch.ts'
import { whoAnswered } from './relay/answer-fields.ts'
import type { AnswerKind } from './relay/answer-order.ts'
import { AttemptBooks } from './relay/attempt-books.ts'
import { type AttemptFailure, inWords, judge } from './relay/attempt-failure.ts'
import { askOf, Choosing, isPinned } from './relay/choosing.ts'
import { Exchange } from './relay/exchange.ts'
import type { ExchangeEnd } from './relay/exchange-owner.ts'
import { Hedging } from './relay/hedging.ts'
import { identify } from './relay/identify.ts'
import { Refusals } from './relay/refusals.ts'
import { answerPlainly } from './relay/refuse-head.ts'
import { RequestStream, type RequestStreamOwner } from './relay/request-stream.ts'
import type { Rival } from './relay/rival.ts'
import { mayFallBack, secondTry } from './relay/second-tries.ts'
import { Shadows } from './relay/shadows.ts'
import { candidatesOf, fallBack, headOf, modelOf, settleAim, takeAim, unrenamable, whyNobody, whyUnserved } from './relay/targets.ts'
import { Waits } from './relay/waits.ts'
import type { EndpointSlot } from './routing/endpoint-slot.ts'
import type { Ledger, Outcome } from './routing/ledger.ts'
import type { RoutingTable } from './routing/routing-table.ts'

export type Ports = {
  now(): Millis
  /** A number in [0, 1). */
  draw(): number
  /** The current picture; one reference, swapped by the control path. */
  routing(): RoutingTable
  /** A connection to the endpoint with room for one more stream; undefined when all that may be opened are full. */
  open(slot: EndpointSlot): Connection | undefined
  openInflater: OpenInflater
  /** How a model answers several requests of one stream; when it is not known yet, `tell` hears it later. */
  answerKind(model: string, version: string, slot: EndpointSlot, tell: (kind: AnswerKind) => void): AnswerKind
  /** Answers a request that is for the proxy itself, later. */
  answer(what: LocalAnswer, upstreamPath: string, message: Uint8Array, exchange: Exchange): void
  /** Answers, over the stream's whole life, a request that the proxy knows the answer to. */
  serveOwn(stream: Stream, method: OwnMethod, timeout: Millis | undefined): undefined
  /** A request ended badly through no fault of its caller; the world decides how many of these it writes down. */
  complain(about: Complaint): void
  readonly tally: RequestTally
  readonly outliers: OutlierWatch
}

export type ServiceOptions = {
  /** Say in the answer which endpoint gave it. */
  readonly nameEndpoints: boolean
  /** Among which the proxy's limits are divided. */
  readonly workers: number
}

export class RequestService implements RequestStreamOwner {
  readonly retryCopies: { left: number } = { left: limits.retryCopiesMax }
  readonly answersHeld = { bytes: 0 }
  readonly shadows: Shadows
  readonly explainer = new Explainer()
  readonly now: () => Millis
  readonly openInflater: OpenInflater
  readonly wishes = (): ScanWishes => this.#ports.routing().wishes
  readonly answerKind: Ports['answerKind']
  readonly answerFields: (exchange: Exchange) => readonly HeaderField[]
  readonly desk: FrontDesk<Exchange>
  readonly #ports: Ports
  readonly #wheel: TimerWheel
  readonly #budget: RetryBudget
  readonly #hedging: Hedging
  readonly #waits: Waits
  readonly #choosing = new Choosing()
  readonly #books: AttemptBooks
  readonly #refusals: Refusals

  constructor(ports: Ports, ledger: Ledger, wheel: TimerWheel, budget: RetryBudget, options: ServiceOptions) {
    this.#ports = ports
    this.now = ports.now
    this.openInflater = ports.openInflater
    this.answerKind = ports.answerKind
    this.answerFields = options.nameEndpoints ? whoAnswered : () => NO_FIELDS
    this.shadows = new Shadows(ports, ledger, wheel)
    this.#wheel = wheel
    this.#waits = new Waits(wheel, {
      firstMessage: (exchange) => this.#onNoMessage(exchange),
      deadline: (exchange) => this.#onDeadline(exchange),
    })
    this.#budget = budget
    this.#hedging = new Hedging({ ...ports, headOf: (exchange, at) => this.#headOf(exchange, at) }, ledger, wheel, budget)
    const refuse = (exchange: Exchange, { reason, detail, again }: Refused) => this.#refuse(exchange, reason, detail, undefined, again)
    const owner = { now: ports.now, send: (exchange: Exchange) => this.#attempt(exchange), refuse }
    this.desk = new FrontDesk(owner, exchangeReader, wheel, options.workers)
    this.#books = new AttemptBooks(ports, ledger, this.desk, this.explainer)
    this.#refusals = new Refusals(ports)
  }

  // ——— it comes ———

  /** A client's request head has come. */
  accept(stream: Stream, fields: readonly HeaderField[]): void {
    const head = readRequestHead(fields)
    if ('kind' in head) {
      if (head.kind === 'malformed') return resetMalformed(stream)
      return this.#refusals.tellAtOnce(stream, 'illegal-timeout', 'grpc-timeout is up to eight digits and one of H, M, S, m, u, n')
    }
    if (head.bodyLength !== undefined && !stream.expectBody(head.bodyLength)) return resetMalformed(stream)
    if (!head.isGrpc) {
      this.#refusals.count('not-grpc')
      return answerPlainly(stream, head, this.#wheel, this.#ports.now())
    }
    const exchange = this.#identify(stream, head)
    if (exchange === undefined) return
    stream.sink = exchange
    this.onOpened(exchange)
    this.#waits.begin(exchange)
    if (exchange.method.kind === 'route' || exchange.method.kind === 'any') return exchange.dispatchNow()
    // A request that waits for its first message may have ended with its head.
    if (exchange.requestEnded) exchange.fromClient(NOTHING, 0, 0, true)
  }

  /** Undefined: it is no exchange's, and somebody has been told so. */
  #identify(stream: Stream, head: RequestHead): Exchange | undefined {
    const { now, routing, openInflater, serveOwn } = this.#ports
    const method = identify(head.path, routing())
    if (method.kind === 'own') return serveOwn(stream, method.method, head.timeout)
    if (method.kind === 'not-served') return this.#refusals.tellAtOnce(stream, method.reason, method.detail)
    const at = now()
    const times = { now: at, deadline: head.timeout === undefined ? undefined : millis(at + head.timeout) }
    const byModel = method.kind === 'by-model'
    const scanner = byModel ? new RequestScanner(head.encoding, openInflater, method.streaming, this.wishes()) : undefined
    return new Exchange(stream, head, method, this, times, scanner)
  }

  onOpened(_exchange: Exchange): void {
    this.#books.opened()
  }

  #onNoMessage(exchange: Exchange): void {
    this.#ports.tally.firstMessageTimeouts++
    this.#refuse(exchange, 'first-message-timeout', `no whole first message within ${limits.firstMessageTimeout} ms`)
  }

  // ——— it goes to an endpoint ———

  onRoutable(exchange: Exchange): void {
    this.#waits.messageCame(exchange)
    takeAim(exchange, this.#ports.routing(), this.#ports.draw, this.#ports.tally)
    this.#attempt(exchange)
  }

  /** Pick → open → relay. */
  #attempt(exchange: Exchange): void {
    const ports = this.#ports
    const at = ports.now()
    if (exchange.deadline !== undefined && exchange.deadline <= at) return this.#onDeadline(exchange)
    settleAim(exchange, ports.routing(), ports.tally)
    const model = modelOf(exchange)
    const candidates = candidatesOf(exchange, ports.routing())
    const unfit = unrenamable(exchange)
    if (unfit !== undefined) return this.onRefused(exchange, unfit)
    if (candidates === undefined) {
      if (fallBack(exchange, ports.tally, this.desk)) return this.#attempt(exchange)
      const { reason, detail } = whyUnserved(exchange, ports.routing())
      return this.#refuse(exchange, reason, detail)
    }
    if (candidates.admission !== undefined && !this.desk.admits(exchange, model, candidates, at)) return
    const compared: EndpointSlot[] | undefined = this.explainer.wants(exchange, at) ? [] : undefined
    const ask = askOf(exchange, candidates, at, ports.draw, compared)
    for (;;) {
      const slot = this.#choosing.choose(exchange, model, candidates, ask)
      if (slot === undefined) {
        if (fallBack(exchange, ports.tally, this.desk)) return this.#attempt(exchange)
        const { reason, detail } = whyNobody(exchange, candidates, isPinned(exchange, candidates, ask))
        return this.#refuse(exchange, reason, detail)
      }
      const connection = ports.open(slot)
      if (connection === undefined) {
        exchange.excluded.push(slot) // as many streams as it allows: another one may have room
        continue
      }
      if (compared !== undefined) this.explainer.note(exchange, model, ports.routing().version, candidates, ask, slot)
      if (candidates.hedge !== undefined && exchange.group !== candidates) this.#hedging.arm(exchange, candidates.hedge, candidates, at)
      this.#books.charge(exchange, slot, candidates, at)
      exchange.attempt(connection, this.#headOf(exchange, at), slot, at)
      return this.#limit(exchange)
    }
  }

  /** Of the attempt that begins now. */
  #headOf(exchange: Exchange, at: Millis): HeaderField[] {
    const { deadline } = exchange
    return headOf(exchange, deadline === undefined ? undefined : millis(deadline - at))
  }

  /** From here on the current attempt may take no longer than its model's row says. */
  #limit(exchange: Exchange): void {
    const timeouts = exchange.group?.timeouts
    if (timeouts !== undefined && !exchange.over)
      exchange.patience = new Patience(this.#wheel, this.now, timeouts, exchange, (what) => this.#onSlow(exchange, what))
  }

  onWhole(exchange: Exchange): void {
    this.shadows.cast(exchange)
  }

  // ——— it is answered ———

  onAnswerBegan(exchange: Exchange): void {
    this.#books.answerBegan(exchange)
  }

  onLocal(exchange: Exchange, message: Uint8Array): void {
    this.#waits.messageCame(exchange)
    const { method } = exchange
    if (method.kind === 'local') this.#ports.answer(method.answer, valueText(method.upstreamPath), message, exchange)
  }

  #onSlow(exchange: Exchange, what: Impatience): void {
    this.#ports.tally.slowAttempts++
    if (!exchange.headSent) return exchange.giveUp(what)
    if (exchange.waitsForServer) this.#books.settle(exchange, 'failure', undefined, true)
    this.#refuse(exchange, 'upstream-slow', IMPATIENCE_WORDS[what])
  }

  onOvertaken(exchange: Exchange, outcome: Outcome, burning: boolean): void {
    const { slot } = exchange
    this.#books.settle(exchange, outcome, undefined, burning)
    if (slot !== undefined) exchange.excluded.push(slot)
    this.#ports.tally.hedgesWon++
    if (exchange.rival !== undefined) exchange.promote(exchange.rival)
    if (exchange.pass !== undefined) this.desk.charge(exchange.pass, this.now())
    this.#limit(exchange)
  }

  onRivalEnded(exchange: Exchange, rival: Rival, outcome: Outcome, burning: boolean): void {
    this.#hedging.settle(exchange, rival, outcome, burning)
  }

  // ——— an attempt fails ———

  /** Nothing was promised to the client yet: another endpoint may do it, within bounds. */
  onAttemptFailed(exchange: Exchange, failure: AttemptFailure): void {
    const { slot } = exchange
    const verdict = judge(failure)
    exchange.lost = failure.kind === 'unreachable' || failure.kind === 'broken'
    this.#books.settle(exchange, verdict.outcome, undefined, failure.kind === 'slow')
    if (slot !== undefined && failure.kind !== 'unprocessed') exchange.excluded.push(slot)
    const among = { candidates: candidatesOf(exchange, this.#ports.routing()), budget: this.#budget, now: this.#ports.now() }
    const pause = secondTry(exchange, failure, verdict, among)
    if (pause !== undefined) return this.#tryAgain(exchange, pause)
    if (mayFallBack(exchange, failure, verdict, this.#budget) && fallBack(exchange, this.#ports.tally, this.desk))
      return this.#tryAgain(exchange, millis(0))
    const detail = inWords(verdict, slot?.trouble ?? '', exchange.attempts)
    if (failure.kind !== 'unavailable') return this.#refuse(exchange, verdict.reason, detail, verdict.status)
    this.#refusals.complain(exchange, REFUSALS[verdict.reason].grpc, detail)
    exchange.answerWhole(failure.fields, verdict.outcome)
  }

  #tryAgain(exchange: Exchange, pause: Millis): void {
    this.#ports.tally.retries++
    if (pause === 0) return this.#attempt(exchange)
    exchange.pause = this.#wheel.schedule(millis(this.#ports.now() + pause), () => this.#attempt(exchange))
  }

  // ——— it ends ———

  onEnded(exchange: Exchange, end: ExchangeEnd): void {
    this.#waits.end(exchange)
    if (end.outcome === 'success') this.#budget.earn()
    if (exchange.aim?.shadow !== undefined) this.shadows.skip()
    this.#books.ended(exchange, end)
  }

  expireIfDue(exchange: Exchange): boolean {
    if (exchange.deadline === undefined || this.#ports.now() < exchange.deadline) return false
    this.#onDeadline(exchange)
    return true
  }

  #onDeadline(exchange: Exchange): void {
    this.#refusals.count('deadline')
    exchange.answerError(REFUSALS.deadline.grpc, DEADLINE_PASSED)
  }

  onRefused(exchange: Exchange, refusal: ScanRefusal): void {
    this.#refuse(exchange, refusal.reason, refusal.detail)
  }

  #refuse(exchange: Exchange, reason: Reason, detail: string, status?: number, again?: Millis): void {
    if (SAID_WITHIN_A_STREAM.has(reason) && isInferenceStream(exchange) && exchange.down instanceof Stream)
      this.#carrySeveral(exchange, exchange.down)
    this.#refusals.tell(exchange, reason, detail, status, again)
  }

  // ——— several requests in one client stream ———

  onFurther(exchange: Exchange, stream: Stream): void {
    if (isInferenceStream(exchange)) this.#carrySeveral(exchange, stream)
    else this.#refuse(exchange, 'illegal-message', 'more than one message in a call that takes one')
  }

  #carrySeveral(exchange: Exchange, stream: Stream): void {
    this.#waits.handOver(exchange)
    const several = new RequestStream(stream, exchange, this)
    if (exchange.deadline === undefined) return
    several.timer = this.#wheel.schedule(exchange.deadline, () => {
      this.#refusals.count('deadline')
      several.end(REFUSALS.deadline.grpc, DEADLINE_PASSED)
    })
  }

  onRefusedAll(reason: Reason): number {
    this.#refusals.count(reason)
    return REFUSALS[reason].grpc
  }

  onStreamOver(stream: RequestStream): void {
    if (stream.timer !== undefined) this.#wheel.cancel(stream.timer)
  }
}

/**
 * On an inference stream Triton answers these within the stream, which stays open for the next request, and its clients tell them from a broken stream
 * by that. What says that no server can be reached stays a status of the stream, as it is for a client of one server: its library may try again.
 */
const SAID_WITHIN_A_STREAM: ReadonlySet<Reason> = new Set<Reason>(['unknown-model', 'other-protocol', 'model-missing'])

const isInferenceStream = ({ method }: Exchange): boolean => method.kind === 'by-model' && method.streaming

const DEADLINE_PASSED = 'the deadline passed'
const NOTHING = new Uint8Array(0)
const NO_FIELDS: readonly HeaderField[] = []
