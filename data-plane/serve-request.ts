/**
 * The story of one request: identify → admit → pick → open → relay → settle.
 * Branches stand here, leaves lie flat in the subject folders, and the world is behind `Ports`. One service serves one worker.
 * Invariant: what `#attempt` charges to the ledger, `#settle` settles once, whatever ends the attempt.
 */
import { limits } from '../core/limits.ts'
import { REFUSALS, type Reason } from '../core/mesh-error.ts'
import { type Millis, millis } from '../core/units.ts'
import { FrontDesk } from './admission/front-desk.ts'
import type { Refused } from './admission/gate.ts'
import { IMPATIENCE_WORDS, type Impatience, Patience } from './admission/patience.ts'
import type { Complaint, RequestTally } from './admission/request-tally.ts'
import type { RetryBudget } from './admission/retry-budget.ts'
import type { TimerWheel } from './admission/timer-wheel.ts'
import { Explainer } from './explain/explainer.ts'
import { type LocalAnswer, METHODS, type OwnMethod } from './grpc/methods.ts'
import { readOrca } from './grpc/orca.ts'
import { type RequestHead, readRequestHead, upstreamHead } from './grpc/request-head.ts'
import { type OpenInflater, RequestScanner, type ScanRefusal } from './grpc/request-scanner.ts'
import { retryHint } from './grpc/retry-hint.ts'
import type { ScanWishes } from './grpc/scan-wishes.ts'
import { trailers, trailersOnly } from './grpc/status.ts'
import type { Connection } from './http2/connection.ts'
import { type HeaderField, headerField } from './http2/header-field.ts'
import { resetMalformed, Stream } from './http2/stream.ts'
import { PlainAnswer } from './local/plain-answer.ts'
import type { OutlierWatch } from './outliers/outlier-watch.ts'
import { whoAnswered } from './relay/answer-fields.ts'
import type { AnswerKind } from './relay/answer-order.ts'
import { type AttemptFailure, judge, type Verdict } from './relay/attempt-failure.ts'
import { Exchange } from './relay/exchange.ts'
import type { ExchangeEnd } from './relay/exchange-owner.ts'
import { adapterOf, keyOf } from './relay/request-key.ts'
import { RequestStream, type RequestStreamOwner } from './relay/request-stream.ts'
import { candidatesOf, fallBack, headOf, modelInWords, modelOf, settleAim, takeAim, whyNotRenamed, whyUnserved } from './relay/targets.ts'
import type { Ask } from './routing/ask.ts'
import type { EndpointSlot } from './routing/endpoint-slot.ts'
import type { Ledger, Outcome } from './routing/ledger.ts'
import type { Candidates } from './routing/model-groups.ts'
import { hasUntried, pick } from './routing/pick.ts'
import type { RoutingTable } from './routing/routing-table.ts'
import { SequenceOwners } from './routing/sequence-owners.ts'
import { SessionOwners } from './routing/session-owners.ts'

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
  readonly explainer = new Explainer()
  readonly now: () => Millis
  readonly openInflater: OpenInflater
  readonly wishes = (): ScanWishes => this.#ports.routing().wishes
  readonly answerKind: Ports['answerKind']
  readonly desk: FrontDesk
  readonly #ports: Ports
  readonly #ledger: Ledger
  readonly #wheel: TimerWheel
  readonly #budget: RetryBudget
  readonly #options: ServiceOptions
  readonly #paths = new Map<string, HeaderField>()
  readonly #sequences = new SequenceOwners()
  readonly #sessions = new SessionOwners()

  constructor(ports: Ports, ledger: Ledger, wheel: TimerWheel, budget: RetryBudget, options: ServiceOptions) {
    this.#ports = ports
    this.now = ports.now
    this.openInflater = ports.openInflater
    this.answerKind = ports.answerKind
    this.#ledger = ledger
    this.#wheel = wheel
    this.#budget = budget
    this.#options = options
    const refuse = (exchange: Exchange, { reason, detail, again }: Refused) => this.#refuse(exchange, reason, detail, undefined, again)
    this.desk = new FrontDesk({ now: ports.now, send: (exchange) => this.#attempt(exchange), refuse }, wheel, options.workers)
  }

  /** A client's request head has come. */
  accept(stream: Stream, fields: readonly HeaderField[]): void {
    const head = readRequestHead(fields)
    if ('kind' in head) {
      if (head.kind === 'malformed') return resetMalformed(stream)
      return this.#refuseHead(stream, 'illegal-timeout', 'grpc-timeout is up to eight digits and one of H, M, S, m, u, n')
    }
    if (head.bodyLength !== undefined && !stream.expectBody(head.bodyLength)) return resetMalformed(stream)
    if (!head.isGrpc) return this.#answerPlainly(stream, head)
    const exchange = this.#identify(stream, head)
    if (exchange === undefined) return
    stream.sink = exchange
    this.onOpened(exchange)
    if (awaitsMessage(exchange)) this.#awaitFirstMessage(exchange)
    else this.#awaitDeadline(exchange)
    if (exchange.method.kind === 'route' || exchange.method.kind === 'any') return exchange.dispatchNow()
    exchange.endBare()
  }

  /** Which kind of request it is; a method that nobody serves is refused here. */
  #identify(stream: Stream, head: RequestHead): Exchange | undefined {
    const { now, routing, openInflater } = this.#ports
    const method = METHODS.get(head.path)
    const at = now()
    const times = { now: at, deadline: head.timeout === undefined ? undefined : millis(at + head.timeout) }
    if (method !== undefined && method.kind !== 'off') {
      if (method.kind === 'own') return this.#ports.serveOwn(stream, method.method, head.timeout)
      const { kind } = method
      const scanner = kind === 'by-model' ? new RequestScanner(head.encoding, openInflater, method.streaming, this.wishes()) : undefined
      return new Exchange(stream, head, method, this, times, scanner)
    }
    const model = method === undefined ? routing().routeOf(head.path) : undefined
    if (model !== undefined) return new Exchange(stream, head, { kind: 'route', model }, this, times, undefined)
    const reason: Reason = method === undefined ? 'unknown-method' : 'method-off'
    const detail = method === undefined ? `no route for ${head.path}: add one under "routes"` : `${head.path} is off: ${method.cure}`
    this.#refuseHead(stream, reason, detail)
    return undefined
  }

  onRoutable(exchange: Exchange): void {
    this.#stopWaiting(exchange)
    takeAim(exchange, this.#ports.routing(), this.#ports.draw, this.#ports.tally)
    this.#attempt(exchange)
  }

  /** Pick → open → relay. */
  #attempt(exchange: Exchange): void {
    const ports = this.#ports
    const at = ports.now()
    const left = exchange.deadline === undefined ? undefined : millis(exchange.deadline - at)
    if (left !== undefined && left <= 0) return this.#onDeadline(exchange)
    settleAim(exchange, ports.routing(), ports.tally)
    const model = modelOf(exchange)
    const candidates = candidatesOf(exchange, ports.routing())
    const unfit = whyNotRenamed(exchange)
    if (unfit !== undefined) return this.onRefused(exchange, unfit)
    if (candidates === undefined) {
      if (fallBack(exchange, ports.tally, this.desk)) return this.#attempt(exchange)
      const { reason, detail } = whyUnserved(exchange, ports.routing())
      return this.#refuse(exchange, reason, detail)
    }
    if (candidates.admission !== undefined && !this.desk.admits(exchange, model, candidates, at)) return
    const compared: EndpointSlot[] | undefined = this.explainer.wants(exchange, at) ? [] : undefined
    const key = keyOf(exchange, candidates.hashOn)
    const adapter = adapterOf(exchange, candidates.adapter)
    const ask: Ask = { now: at, draw: ports.draw, excluded: exchange.excluded, compared, key, adapter, prompt: exchange.scanner?.prompt }
    for (;;) {
      const slot = this.#choose(exchange, model, candidates, ask)
      if (slot === undefined) {
        if (fallBack(exchange, ports.tally, this.desk)) return this.#attempt(exchange)
        const tried = exchange.excluded.length === 0 ? 'none is READY' : `${exchange.excluded.length} tried`
        return this.#refuse(exchange, 'no-ready-endpoint', `${modelInWords(exchange)}: ${tried} of ${candidates.size} endpoints`)
      }
      const connection = ports.open(slot)
      if (connection === undefined) {
        exchange.excluded.push(slot) // as many streams as it allows: another one may have room
        continue
      }
      if (compared !== undefined) this.explainer.note(exchange, model, ports.routing().version, candidates, ask, slot)
      this.#ledger.charge(slot, at)
      exchange.group = candidates
      if (exchange.pass !== undefined) this.desk.charge(exchange.pass)
      exchange.attempt(connection, upstreamHead(headOf(exchange), this.#pathOf(exchange), exchange.attempts, left), slot, at)
      if (candidates.timeouts !== undefined && !exchange.over)
        exchange.patience = new Patience(this.#wheel, ports.now, candidates.timeouts, exchange, (what) => this.#onSlow(exchange, what))
      return
    }
  }

  /** Requests of one sequence, or of a session that is pinned, go to one endpoint; others wherever their model's policy says. */
  #choose(exchange: Exchange, model: string, candidates: Candidates, ask: Ask): EndpointSlot | undefined {
    const { excluded, scanner, lost } = exchange
    const sequence = scanner?.sequence
    if (sequence !== undefined) return this.#sequences.ownerOf(model, sequence, candidates, excluded)
    if (candidates.pin && ask.key !== undefined) return this.#sessions.ownerOf(model, ask.key, candidates.tiers, excluded, lost)
    return pick(candidates, ask)
  }

  #onSlow(exchange: Exchange, what: Impatience): void {
    this.#ports.tally.slowAttempts++
    if (!exchange.headSent) return exchange.giveUp(what)
    if (exchange.waitsForServer) this.#settle(exchange, 'failure', undefined, true)
    this.#refuse(exchange, 'upstream-slow', IMPATIENCE_WORDS[what])
  }

  onLocal(exchange: Exchange, message: Uint8Array): void {
    this.#stopWaiting(exchange)
    const { method } = exchange
    if (method.kind === 'local') this.#ports.answer(method.answer, method.upstreamPath, message, exchange)
  }

  onRefused(exchange: Exchange, refusal: ScanRefusal): void {
    this.#refuse(exchange, refusal.reason, refusal.detail)
  }

  // ——— several requests in one client stream ———

  onOpened(_exchange: Exchange): void {
    this.#ports.tally.requests++
    this.#ports.tally.open++
  }

  onFurther(exchange: Exchange, stream: Stream): void {
    if (isInferenceStream(exchange)) this.#carrySeveral(exchange, stream)
    else this.#refuse(exchange, 'illegal-message', 'more than one message in a call that takes one')
  }

  #carrySeveral(exchange: Exchange, stream: Stream): void {
    if (exchange.timer !== undefined) this.#wheel.cancel(exchange.timer)
    exchange.timer = undefined
    const several = new RequestStream(stream, exchange, this)
    if (exchange.deadline === undefined) return
    several.timer = this.#wheel.schedule(exchange.deadline, () => {
      this.#count('deadline')
      several.end(REFUSALS.deadline.grpc, DEADLINE_PASSED)
    })
  }

  onRefusedOne(exchange: Exchange, reason: Reason, detail: string): void {
    this.#refuse(exchange, reason, detail)
  }

  onRefusedAll(reason: Reason): number {
    this.#count(reason)
    return REFUSALS[reason].grpc
  }

  onStreamOver(stream: RequestStream): void {
    if (stream.timer !== undefined) this.#wheel.cancel(stream.timer)
  }

  /** Nothing was promised to the client yet: another endpoint may do it, within bounds. */
  onAttemptFailed(exchange: Exchange, failure: AttemptFailure): void {
    const { slot } = exchange
    const verdict = judge(failure)
    exchange.lost = failure.kind === 'unreachable' || failure.kind === 'broken'
    this.#settle(exchange, verdict.outcome, undefined, failure.kind === 'slow')
    if (slot !== undefined && failure.kind !== 'unprocessed') exchange.excluded.push(slot)
    if (exchange.canRetry && (this.#mayRetry(exchange, verdict) || this.#mayFallBack(exchange, verdict))) {
      this.#ports.tally.retries++
      return this.#attempt(exchange)
    }
    const trouble = slot !== undefined && LOST.includes(verdict.reason) && slot.trouble !== '' ? `: ${slot.trouble}` : ''
    const detail = `${verdict.detail}${trouble}${exchange.attempts > 1 ? ` (attempt ${exchange.attempts})` : ''}`
    if (failure.kind !== 'unavailable') return this.#refuse(exchange, verdict.reason, detail, verdict.status)
    this.#complain(exchange, REFUSALS[verdict.reason].grpc, detail)
    exchange.answerWhole(failure.fields, verdict.outcome)
  }

  #mayRetry(exchange: Exchange, verdict: Verdict): boolean {
    if (exchange.attempts >= limits.attemptsMax || REFUSALS[verdict.reason].retry !== 'elsewhere') return false
    const candidates = candidatesOf(exchange, this.#ports.routing())
    if (candidates === undefined) return false
    if (!hasUntried(candidates, exchange.excluded)) {
      // A server that has not looked at the request may take it on another connection.
      if (verdict.reason !== 'upstream-refused') return false
      exchange.excluded.length = 0
    }
    return verdict.free || this.#budget.take()
  }

  /** All that may be asked of the model itself was; another model costs the budget what another endpoint does. */
  #mayFallBack(exchange: Exchange, verdict: Verdict): boolean {
    if (REFUSALS[verdict.reason].retry !== 'elsewhere' || exchange.aim?.hasFallback !== true) return false
    return (verdict.free || this.#budget.take()) && fallBack(exchange, this.#ports.tally, this.desk)
  }

  onAnswerBegan({ slot, group, attemptAt, decision, pass }: Exchange): void {
    if (slot === undefined || group === undefined) return
    const at = this.#ports.now()
    const took = millis(at - attemptAt)
    slot.firstByte.record(took, at)
    this.#ports.outliers.beganAfter(slot, group, took)
    if (decision !== undefined) decision.firstByte = took
    if (pass !== undefined) this.desk.answerBegan(pass, took, at)
  }

  expireIfDue(exchange: Exchange): boolean {
    if (exchange.deadline === undefined || this.#ports.now() < exchange.deadline) return false
    this.#onDeadline(exchange)
    return true
  }

  onEnded(exchange: Exchange, end: ExchangeEnd): void {
    const { tally } = this.#ports
    if (exchange.timer !== undefined) this.#wheel.cancel(exchange.timer)
    if (end.outcome === 'success') this.#budget.earn()
    const { slot } = exchange
    this.#settle(exchange, end.outcome, end.status, end.burning)
    if (end.trailers !== undefined && slot !== undefined) this.#hearLoad(slot, end.trailers)
    tally.open--
    tally.messagesOut += exchange.messagesOut
    tally.byStatus[end.status] = (tally.byStatus[end.status] ?? 0) + 1
    if (exchange.pass !== undefined) this.desk.ended(exchange, exchange.pass)
  }

  #hearLoad(slot: EndpointSlot, fields: readonly HeaderField[]): void {
    const load = readOrca(fields)
    if (load === undefined) return
    if (load === 'unreadable') this.#ports.tally.loadsUnreadable++
    else {
      this.#ports.tally.loadsInBand++
      slot.reportInBand(load, this.#ports.now())
    }
  }

  readonly answerFields = (exchange: Exchange): readonly HeaderField[] => (this.#options.nameEndpoints ? whoAnswered(exchange) : NO_FIELDS)

  #settle(exchange: Exchange, outcome: Outcome, status: number | undefined, burning: boolean): void {
    const { slot, group, pass } = exchange
    if (slot === undefined) return
    exchange.slot = undefined
    exchange.patience?.cancel()
    exchange.patience = undefined
    const at = this.#ports.now()
    this.#ledger.settle(slot, outcome, burning, at)
    this.explainer.settle(exchange, outcome, status, at)
    if (pass !== undefined) this.desk.settle(pass, outcome, millis(at - exchange.attemptAt))
    if (group === undefined) return
    const { outliers } = this.#ports
    if (burning && exchange.waitsForServer && !exchange.answerBegan) outliers.silentFor(slot, group, millis(at - exchange.attemptAt))
    outliers.score(slot, group, outcome, at)
  }

  /** `status` where the reason alone does not tell it; `again`: after which time another try may go better. */
  #refuse(exchange: Exchange, reason: Reason, detail: string, status: number = REFUSALS[reason].grpc, again = USUAL_HINTS[reason]): void {
    this.#count(reason)
    if (REFUSALS[reason].retry !== 'never') this.#complain(exchange, status, detail)
    if (SAID_WITHIN_A_STREAM.has(reason) && isInferenceStream(exchange) && exchange.down instanceof Stream)
      this.#carrySeveral(exchange, exchange.down)
    if (again === undefined) return exchange.answerError(status, detail)
    const hint = retryHint(again, this.#ports.draw())
    exchange.answerError(status, `${detail}; ${hint.words}`, hint.fields)
  }

  /** Refused before it became an exchange: nothing to settle. */
  #refuseHead(stream: Stream, reason: Reason, detail: string): void {
    this.#count(reason)
    answerHead(stream, reason, detail)
  }

  #answerPlainly(stream: Stream, head: RequestHead): void {
    this.#count('not-grpc')
    const fields = trailers(REFUSALS['not-grpc'].grpc, NOT_GRPC)
    const answer = new PlainAnswer(stream, 415, fields, head.method === 'HEAD' ? NO_BYTES : NOT_GRPC_LINE, () => this.#wheel.cancel(timer))
    const timer = this.#wheel.schedule(millis(this.#ports.now() + limits.firstMessageTimeout), () => answer.say())
    if (stream.remoteEnded) answer.say()
  }

  #count(reason: Reason): void {
    const { refusals } = this.#ports.tally
    refusals[reason] = (refusals[reason] ?? 0) + 1
  }

  #complain(exchange: Exchange, status: number, detail: string): void {
    const endpoints = exchange.excluded.map((slot) => slot.id)
    this.#ports.complain({ path: exchange.head.path, model: modelOf(exchange), status, detail, attempts: exchange.attempts, endpoints })
  }

  #onDeadline(exchange: Exchange): void {
    this.#count('deadline')
    exchange.answerError(REFUSALS.deadline.grpc, DEADLINE_PASSED)
  }

  #awaitFirstMessage(exchange: Exchange): void {
    exchange.timer = this.#wheel.schedule(millis(exchange.arrivedAt + limits.firstMessageTimeout), () => {
      this.#ports.tally.firstMessageTimeouts++
      this.#refuse(exchange, 'first-message-timeout', `no whole first message within ${limits.firstMessageTimeout} ms`)
    })
  }

  #awaitDeadline(exchange: Exchange): void {
    if (exchange.deadline !== undefined) exchange.timer = this.#wheel.schedule(exchange.deadline, () => this.#onDeadline(exchange))
  }

  /** The first message has come: what is left to wait for is the deadline. */
  #stopWaiting(exchange: Exchange): void {
    if (exchange.timer === undefined || !awaitsMessage(exchange)) return
    this.#wheel.cancel(exchange.timer)
    exchange.timer = undefined
    this.#awaitDeadline(exchange)
  }

  #pathOf(exchange: Exchange): HeaderField {
    const { method, head } = exchange
    if (method.kind === 'route' || method.kind === 'off' || method.upstreamPath === head.path) return head.pathField
    const known = this.#paths.get(method.upstreamPath)
    if (known !== undefined) return known
    const field = headerField(':path', method.upstreamPath)
    this.#paths.set(method.upstreamPath, field)
    return field
  }
}

/** A far deadline gives a client no more time for its first message than none. */
const awaitsMessage = ({ method, deadline, arrivedAt }: Exchange): boolean =>
  method.kind !== 'route' && method.kind !== 'any' && (deadline === undefined || deadline - arrivedAt > limits.firstMessageTimeout)

/**
 * On an inference stream Triton answers these within the stream, which stays open for the next request, and its clients tell them from a broken stream
 * by that. What says that no server can be reached stays a status of the stream, as it is for a client of one server: its library may try again.
 */
const SAID_WITHIN_A_STREAM: ReadonlySet<Reason> = new Set<Reason>(['unknown-model', 'other-protocol', 'model-missing'])

const isInferenceStream = ({ method }: Exchange): boolean => method.kind === 'by-model' && method.streaming

const USUAL_HINTS: Readonly<Partial<Record<Reason, Millis>>> = { 'no-ready-endpoint': limits.retryHintUsual }
const DEADLINE_PASSED = 'the deadline passed'
const NO_FIELDS: readonly HeaderField[] = []
const NO_BYTES = new Uint8Array(0)
const NOT_GRPC = 'this port speaks gRPC: content-type application/grpc by POST'
const NOT_GRPC_LINE = Uint8Array.from(`${NOT_GRPC}\n`, (letter) => letter.charCodeAt(0))

/** Why the connection itself did not come about, or did not last, is worth telling. */
const LOST: readonly Reason[] = ['upstream-unreachable', 'upstream-lost']

function answerHead(stream: Stream, reason: Reason, detail: string): void {
  stream.sendHead(trailersOnly(REFUSALS[reason].grpc, detail), true)
}

/** A head that is too large, or that carries characters which no header may: the block was decoded all the same. */
export function refuseBadHead(stream: Stream, problem: 'too-large' | 'malformed'): void {
  if (problem === 'malformed') return resetMalformed(stream)
  answerHead(stream, 'head-too-large', `the request's headers exceed ${limits.headerListMax} bytes or ${limits.headerFieldsMax} fields`)
}
