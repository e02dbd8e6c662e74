/**
 * One client request from its head to its end: joins the client's stream with the stream of the current attempt and splices bytes both ways.
 * Here are its attempts, the answer's way down, and how both end; the request's way up is its base.
 * It knows the mechanics (whose credit is due, whether a message is torn, who is told to stop) and decides nothing: the owner does.
 * Invariants: exactly one `onEnded`; a broken answer never looks whole; what was promised to a client (a response head) is never retried.
 */
import { type Millis, millis } from '../../core/units.ts'
import type { Impatience, Patience } from '../admission/patience.ts'
import type { Timer } from '../admission/timer-wheel.ts'
import type { DecisionRecord } from '../explain/decision-book.ts'
import { MessageWalker } from '../grpc/message-walker.ts'
import type { RequestHead } from '../grpc/request-head.ts'
import type { RequestScanner } from '../grpc/request-scanner.ts'
import { GRPC, statusOf, statusOfReset, trailers, trailersOnly } from '../grpc/status.ts'
import type { Connection } from '../http2/connection.ts'
import type { HeaderField } from '../http2/header-field.ts'
import { ERROR } from '../http2/protocol.ts'
import type { LossCause, Stream, StreamSink } from '../http2/stream.ts'
import type { EndpointSlot } from '../routing/endpoint-slot.ts'
import type { Outcome } from '../routing/ledger.ts'
import type { Candidates } from '../routing/model-groups.ts'
import { outcomeOf, passedOn } from './answer-fields.ts'
import { type AttemptFailure, failureOfHead, judge, LOSS_WORDS } from './attempt-failure.ts'
import type { Downstream } from './downstream.ts'
import type { ExchangeEnd, ExchangeOwner } from './exchange-owner.ts'
import type { RequestMethod } from './identify.ts'
import { RequestSide } from './request-side.ts'
import { isBad, Rival } from './rival.ts'

export class Exchange extends RequestSide implements StreamSink {
  attempts = 0
  /** The endpoint of the current attempt. */
  slot: EndpointSlot | undefined
  /** Among whom it was chosen. */
  group: Candidates | undefined
  /** With the current attempt, where its model limits it. */
  patience: Patience | undefined
  /** Until a server that asked for a pause is asked again, and until the answer is late. */
  pause: Timer | undefined
  hedgeTimer: Timer | undefined
  /** A second attempt beside the current one. */
  rival: Rival | undefined
  /** When the first attempt and the current one began. */
  dispatchedAt = millis(0)
  attemptAt = millis(0)
  excluded: EndpointSlot[] = []
  /** Of the current attempt, where it is remembered. */
  decision: DecisionRecord | undefined
  /** The last attempt ended with its connection. */
  lost = false
  headSent = false
  protected readonly owner: ExchangeOwner
  #walker = new MessageWalker()
  #answerBegan = false

  constructor(
    down: Downstream,
    head: RequestHead,
    method: RequestMethod,
    owner: ExchangeOwner,
    times: { readonly now: Millis; readonly deadline: Millis | undefined },
    scanner: RequestScanner | undefined,
  ) {
    super(down, head, method, times, scanner)
    this.owner = owner
  }

  /** The request's bytes are all still here, and the client was promised nothing. */
  get canRetry(): boolean {
    return !this.committed && !this.headSent && !this.over
  }

  /** A byte of the current attempt's first message has come. */
  get answerBegan(): boolean {
    return this.#answerBegan
  }

  /** The client has said all and has room for what comes: whatever does not move is the server's doing. */
  get waitsForServer(): boolean {
    return this.requestEnded && this.down.waitingBytes === 0
  }

  /** What has come of the answer. */
  get answers(): MessageWalker {
    return this.#walker
  }

  // ——— the owner's moves: attempts ———

  /** One attempt: the head, then everything that has come so far. */
  attempt(connection: Connection, fields: readonly HeaderField[], slot: EndpointSlot, now: Millis): void {
    this.slot = slot
    if (this.attempts++ === 0) this.dispatchedAt = now
    else this.#walker = new MessageWalker()
    this.attemptAt = now
    this.#answerBegan = false
    const up = connection.open(fields, this.isHeadAlone)
    up.sink = this
    this.sendFromStart(up)
  }

  /** A second attempt beside the current one, with the same bytes. */
  compete(connection: Connection, fields: readonly HeaderField[], slot: EndpointSlot, now: Millis): void {
    this.attempts++
    this.rival = new Rival(connection.open(fields, this.isHeadAlone), slot, now, this, this.owner)
    this.rival.sent = this.sendBeside(this.rival.up)
  }

  /** The second attempt goes on as the only one. */
  promote({ slot, startedAt, up, sent }: Rival): void {
    this.rival = undefined
    this.slot = slot
    this.attemptAt = startedAt
    this.goOnWith(up, sent)
    up.sink = this
  }

  /** Its answer begins, or is whole: the first attempt is called off. */
  yieldTo(fields: HeaderField[], endStream: boolean): void {
    this.owner.onOvertaken(this, 'neither', this.#stopUpstream())
    if (this.up !== undefined) this.onHead(this.up, fields, endStream)
  }

  /** The current attempt took too long, and the client was promised nothing yet: the endpoint is told to stop. */
  giveUp(what: Impatience): void {
    if (!this.over) this.#attemptFailed({ kind: 'slow', what, blamed: this.waitsForServer })
  }

  // ——— the owner's moves: other ends than an endpoint's answer ———

  /** The client does not wait for it any more. */
  leave(status: number): void {
    if (this.over) return
    const burning = this.#stopUpstream()
    this.#end({ outcome: 'neither', status, burning })
  }

  /** Answers instead of an endpoint, with `more` fields while no head was sent; one that is at work on the request is told to stop. */
  answerError(status: number, detail: string, more: readonly HeaderField[] = NO_FIELDS): void {
    if (this.over) return
    const burning = this.#stopUpstream()
    if (!this.headSent) this.down.sendHead([...trailersOnly(status, detail), ...more, ...this.owner.answerFields(this)], true)
    else this.#endAnswer(status, detail)
    this.#end({ outcome: 'neither', status, burning })
  }

  /** Hands a whole answer of an endpoint on as it is. */
  answerWhole(fields: readonly HeaderField[], outcome: ExchangeEnd['outcome']): void {
    this.down.sendHead(this.#answered(fields), true)
    this.#end({ outcome, status: statusOf(fields) ?? GRPC.UNKNOWN, burning: false })
  }

  /** A whole unary answer of the proxy's own. */
  answerMessage(head: readonly HeaderField[], message: Uint8Array): void {
    if (this.over) return
    this.headSent = true
    this.down.sendHead(head, false)
    this.down.sendData(message, 0, message.length, false)
    this.down.sendTrailers(trailers(GRPC.OK, ''))
    this.#end({ outcome: 'success', status: GRPC.OK, burning: false })
  }

  // ——— what happens on the two streams ———

  onHead(up: Stream, fields: HeaderField[], endStream: boolean): void {
    if (up !== this.up || this.over) return
    const failure = failureOfHead(fields, endStream)
    if (failure?.kind === 'unavailable') this.#closeUpstream(up)
    if (failure !== undefined) return this.#attemptFailed(failure)
    const outcome = endStream ? outcomeOf(statusOf(fields) as number) : 'success'
    if (this.rival !== undefined) {
      if (isBad(outcome)) {
        this.#closeUpstream(up)
        return this.owner.onOvertaken(this, outcome, false)
      }
      this.rival.dismiss()
    }
    if (endStream) {
      this.#closeUpstream(up)
      return this.answerWhole(fields, outcome)
    }
    this.commit()
    this.headSent = true
    this.down.sendHead(this.#answered(fields), false)
  }

  onData(stream: Stream, source: Uint8Array, start: number, end: number, endStream: boolean): void {
    this.activity = (this.activity + 1) | 0
    if (stream === this.down) return this.onRequestBytes(stream, source, start, end, endStream)
    if (stream !== this.up || this.over) return
    this.#walker.feed(source, start, end)
    if (end > start) {
      if (!this.#answerBegan) {
        this.#answerBegan = true
        this.owner.onAnswerBegan(this)
      }
      const sent = this.down.sendData(source, start, end, false)
      if (sent > 0) stream.returnCredit(sent, true)
    }
    if (endStream) this.#broken(GRPC.UNKNOWN, 'the server ended the stream without a status')
  }

  onTrailers(stream: Stream, fields: HeaderField[]): void {
    if (stream === this.down) return this.onRequestBytes(stream, NOTHING, 0, 0, true)
    if (stream !== this.up || this.over) return
    const status = statusOf(fields)
    if (status === undefined) return this.#broken(GRPC.UNKNOWN, 'the server ended the stream without a status')
    if (this.#walker.torn && status === GRPC.OK) return this.#broken(GRPC.INTERNAL, 'the server ended in the middle of a message')
    this.#closeUpstream(stream)
    if (this.#walker.torn) this.down.reset(ERROR.INTERNAL_ERROR)
    else this.down.sendTrailers(passedOn(fields))
    this.#end({ outcome: outcomeOf(status), status, burning: false, trailers: fields })
  }

  onReset(stream: Stream, code: number): void {
    if (this.over) return
    if (stream === this.down) return this.leave(GRPC.CANCELLED)
    if (stream !== this.up) return
    // A server that counts the deadline too may cut the stream off before the wheel's next turn: that is no failure of its.
    if (code === ERROR.CANCEL && this.owner.expireIfDue(this)) return
    if (!this.headSent) this.#attemptFailed({ kind: 'reset', code })
    else
      this.#broken(
        statusOfReset(code),
        `the server reset the stream (code ${code})`,
        code === ERROR.ENHANCE_YOUR_CALM ? 'backpressure' : 'failure',
      )
  }

  onLost(stream: Stream, cause: LossCause): void {
    if (this.over) return
    if (stream === this.down) return this.leave(GRPC.CANCELLED)
    if (stream !== this.up) return
    if (!this.headSent) this.#attemptFailed({ kind: cause })
    else this.#broken(cause === 'protocol' ? GRPC.INTERNAL : GRPC.UNAVAILABLE, LOSS_WORDS[cause], cause === 'protocol' ? 'failure' : 'lost')
  }

  onSent(stream: Stream, count: number): void {
    this.activity = (this.activity + 1) | 0
    if (stream === this.down) this.up?.returnCredit(count, false)
    else if (stream === this.up) this.leftUp(count, false)
  }

  /** Bytes of the answer that had to wait have left. */
  onDownSent(count: number): void {
    this.activity = (this.activity + 1) | 0
    this.up?.returnCredit(count, false)
  }

  #answered(fields: readonly HeaderField[]): readonly HeaderField[] {
    const added = this.owner.answerFields(this)
    const own = passedOn(fields)
    return added.length === 0 ? own : [...own, ...added]
  }

  #attemptFailed(failure: AttemptFailure): void {
    this.#stopUpstream()
    if (this.rival === undefined) return this.owner.onAttemptFailed(this, failure)
    this.owner.onOvertaken(this, judge(failure).outcome, failure.kind === 'slow')
  }

  /** The endpoint failed behind a response head: the client learns it, and never as a clean end. */
  #broken(status: number, detail: string, outcome: Outcome = 'failure'): void {
    if (!this.headSent) return this.#attemptFailed({ kind: 'protocol' })
    this.#stopUpstream()
    this.#endAnswer(status, detail)
    this.#end({ outcome, status, burning: false })
  }

  /** Such an end as what came of the answer allows. */
  #endAnswer(status: number, detail: string): void {
    if (this.#walker.torn) this.down.reset(ERROR.INTERNAL_ERROR)
    else this.down.sendTrailers(trailers(status, detail))
  }

  /** Tells the endpoint to stop; true when it had work to stop. */
  #stopUpstream(): boolean {
    const up = this.up
    this.up = undefined
    if (up === undefined || up.closed) return false
    up.reset(ERROR.CANCEL)
    return true
  }

  /** The endpoint has said its last: what it still expected of the request is called off without blame. */
  #closeUpstream(up: Stream): void {
    this.up = undefined
    up.reset(ERROR.NO_ERROR)
  }

  #end(end: ExchangeEnd): void {
    this.over = true
    this.up = undefined
    this.rival?.dismiss()
    this.letGo()
    this.owner.onEnded(this, end)
  }
}

const NOTHING = new Uint8Array(0)
const NO_FIELDS: readonly HeaderField[] = []
