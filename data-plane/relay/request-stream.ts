/**
 * One client stream that carries several requests: each gets an upstream stream of its own, chosen by its own model and half-closed behind its message,
 * so that the upstream stream is the request's identity and its end the request's end: ids and finality flags pass untouched. Requests of one
 * sequence share an upstream stream. What one request asks for, waits for or fails by is no other's concern.
 * Invariant: the client's stream ends when the client has ended it and every request has been answered, or by one error for all.
 */
import { limits } from '../../core/limits.ts'
import type { Reason } from '../../core/mesh-error.ts'
import type { Millis } from '../../core/units.ts'
import { waits } from '../admission/pass.ts'
import type { Timer } from '../admission/timer-wheel.ts'
import type { RequestHead } from '../grpc/request-head.ts'
import { RequestScanner } from '../grpc/request-scanner.ts'
import type { ScanWishes } from '../grpc/scan-wishes.ts'
import { GRPC } from '../grpc/status.ts'
import { ByteQueue } from '../http2/byte-queue.ts'
import { valueText } from '../http2/header-field.ts'
import type { Stream, StreamSink } from '../http2/stream.ts'
import type { EndpointSlot } from '../routing/endpoint-slot.ts'
import { AnswerLane } from './answer-lane.ts'
import { AnswerMerge, type MergeOwner } from './answer-merge.ts'
import { type AnswerKind, AnswerOrder, type Turn } from './answer-order.ts'
import { Exchange } from './exchange.ts'
import type { ExchangeOwner } from './exchange-owner.ts'

export type RequestStreamOwner = ExchangeOwner & {
  /** A request of the stream begins. */
  onOpened(exchange: Exchange): void
  /** The whole stream cannot go on; answers the status that says so. */
  onRefusedAll(reason: Reason): number
  onStreamOver(stream: RequestStream): void
  /** How a model answers; when it is not known yet, `tell` hears it later. */
  answerKind(model: string, version: string, slot: EndpointSlot, tell: (kind: AnswerKind) => void): AnswerKind
  /** What is to be found in a message. */
  wishes(): ScanWishes
  now(): Millis
  /** Bytes of answers that wait for their turn, over all streams. */
  readonly answersHeld: { bytes: number }
}

export class RequestStream implements StreamSink, MergeOwner {
  timer: Timer | undefined
  readonly errorsEndStream: boolean
  readonly #down: Stream
  readonly #first: Exchange
  readonly #owner: RequestStreamOwner
  readonly #head: RequestHead
  readonly #order = new AnswerOrder()
  readonly #merge: AnswerMerge
  /** Shared upstream streams that take further requests, by model and sequence. */
  readonly #sequences = new Map<string, AnswerLane>()
  #clientEnded: boolean
  // The message that is coming
  #scanner: RequestScanner | undefined
  #target: Exchange | undefined
  #targetShared = false
  readonly #pending = new ByteQueue()

  /** Takes over from the only request so far. */
  constructor(down: Stream, first: Exchange, owner: RequestStreamOwner) {
    this.#down = down
    this.#first = first
    this.#owner = owner
    this.#head = headOfEach(first.head)
    this.errorsEndStream = first.head.forward.some((field) => field.name === 'triton_grpc_error' && valueText(field) === 'true')
    this.#merge = new AnswerMerge(down, this.#order, this, first.headSent ? undefined : encodingAsked(first.head))
    this.#clientEnded = first.requestEnded
    this.#adopt(first)
    down.sink = this
  }

  get deadline(): Millis | undefined {
    return this.#first.deadline
  }

  /** Ends the stream for all its requests. */
  end(status: number, detail: string): void {
    this.#merge.end(status, detail)
  }

  #adopt(first: Exchange): void {
    const { scanner } = first
    const turn: Turn = { id: scanner?.id ?? '', kind: 'asking' }
    const lane = new AnswerLane(this.#merge, turn, first.answers)
    lane.exchange = first
    this.#merge.adopt(lane, first.headSent)
    first.enterLane(lane)
    if (scanner === undefined) return
    this.#shareIfSequence(scanner, lane)
    if (scanner.whole) {
      if (!lane.shared) first.endRequest()
    } else {
      this.#scanner = scanner
      this.#target = first
      this.#targetShared = lane.shared
    }
    this.#askKind(lane, scanner)
  }

  // ——— the client's side ———

  onData(_stream: Stream, source: Uint8Array, start: number, end: number, endStream: boolean): void {
    for (let at = start; at < end && !this.#merge.over; ) {
      this.#scanner ??= new RequestScanner(this.#head.encoding, this.#owner.openInflater, true, this.#owner.wishes())
      const scanner = this.#scanner
      const stop = scanner.feed(source, at, end)
      this.#onPiece(scanner, source, at, stop)
      at = stop
      if (!scanner.whole) continue
      this.#scanner = undefined
      this.#target = undefined
    }
    if (endStream && !this.#merge.over) this.#onClientEnd()
  }

  onTrailers(): void {
    if (!this.#merge.over) this.#onClientEnd()
  }

  onReset(): void {
    this.#clientGone()
  }

  onLost(): void {
    this.#clientGone()
  }

  onSent(_stream: Stream, count: number): void {
    this.#merge.onSent(count)
  }

  onHead(): void {}

  #onPiece(scanner: RequestScanner, source: Uint8Array, start: number, end: number): void {
    const { refusal } = scanner
    if (refusal !== undefined) {
      // Where messages cannot be told apart or read, there is nothing to go on with.
      if (refusal.reason === 'illegal-message' || refusal.reason === 'encoding-unknown')
        return this.end(this.#owner.onRefusedAll(refusal.reason), refusal.detail)
      return this.#refuseCurrent(scanner, refusal.reason, refusal.detail, end - start)
    }
    if (this.#target !== undefined) return void this.#target.fromClient(source, start, end, scanner.whole && !this.#targetShared)
    this.#pending.append(source, start, end)
    if (scanner.routable) this.#begin(scanner)
    else if (this.#pending.length > limits.scanBudget)
      this.#refuseCurrent(scanner, 'scan-budget', `no model_name within the first ${limits.scanBudget} bytes: put it before the tensors`, 0)
  }

  /** The rest of the message is skipped. */
  #refuseCurrent(scanner: RequestScanner, reason: Reason, detail: string, skipped: number): void {
    this.#down.returnCredit(skipped + this.#pending.length, true)
    this.#pending.clear()
    this.#target ??= this.#open(scanner).exchange
    if (this.#target !== undefined && !this.#target.over) this.#owner.onRefused(this.#target, { reason, detail })
  }

  /** Where the message goes is known: to the upstream stream of its sequence, or to one of its own. */
  #begin(scanner: RequestScanner): void {
    const shared = this.#sequences.get(sequenceKey(scanner))
    if (shared?.exchange !== undefined && !shared.ended) this.#join(shared, scanner)
    else this.#start(scanner)
    const target = this.#target
    if (scanner.refusal !== undefined) return this.#refuseCurrent(scanner, scanner.refusal.reason, scanner.refusal.detail, 0)
    const ends = scanner.whole && !this.#targetShared
    const { length } = this.#pending
    let given = 0
    this.#pending.forEach((chunk, start, end) => {
      given += end - start
      target?.fromClient(chunk, start, end, ends && given === length)
    })
    this.#pending.clear()
  }

  #join(lane: AnswerLane, scanner: RequestScanner): void {
    if (lane.turns.length >= limits.streamRequestsMax) return this.#endForTooMany()
    const kind = lane.turns[0]?.kind ?? this.#kindOf(lane, scanner)
    const turn: Turn = { id: scanner.id, kind }
    // Nobody can tell how many of the earlier ones a decoupled model has answered.
    if (kind === 'decoupled') lane.turns.length = 0
    lane.turns.push(turn)
    this.#order.join(turn)
    this.#target = lane.exchange
    if (lane.exchange?.aim?.renames) scanner.forbidRepeats()
    this.#targetShared = scanner.sequence?.ends !== true
    if (!this.#targetShared) this.#sequences.delete(sequenceKey(scanner))
  }

  #start(scanner: RequestScanner): void {
    const full = this.#isFull()
    if (this.#merge.over) return
    const lane = this.#open(scanner)
    const { exchange } = lane
    if (exchange === undefined) return
    this.#target = exchange
    if (full) return this.#owner.onRefused(exchange, { reason: 'too-many-requests', detail: TOO_MANY })
    this.#shareIfSequence(scanner, lane)
    this.#targetShared = lane.shared
    exchange.dispatchNow()
    this.#askKind(lane, scanner)
  }

  #open(scanner: RequestScanner): AnswerLane {
    const lane = new AnswerLane(this.#merge, { id: scanner.id, kind: 'asking' })
    const times = { now: this.#owner.now(), deadline: this.deadline }
    const exchange = new Exchange(lane, this.#head, this.#first.method, this.#owner, times, scanner)
    exchange.enterLane(lane)
    lane.exchange = exchange
    this.#merge.add(lane)
    this.#targetShared = false
    this.#owner.onOpened(exchange)
    return lane
  }

  /** Idle sequences make room; a client that goes on asking after it was refused is not answered for ever. */
  #isFull(): boolean {
    const { lanes } = this.#merge
    if (lanes.size >= 2 * limits.streamRequestsMax) this.#endForTooMany()
    if (lanes.size >= limits.streamRequestsMax / 2)
      for (const [key, lane] of this.#sequences)
        if (lane.turns.length === 0) {
          this.#sequences.delete(key)
          lane.exchange?.endRequest()
        }
    return lanes.size >= limits.streamRequestsMax || (lanes.size > 0 && this.#owner.answersHeld.bytes >= limits.answersHeldMax)
  }

  #endForTooMany(): void {
    this.end(this.#owner.onRefusedAll('too-many-requests'), TOO_MANY)
  }

  #shareIfSequence(scanner: RequestScanner, lane: AnswerLane): void {
    const { sequence } = scanner
    if (sequence === undefined || sequence.ends) return
    lane.shared = true
    this.#sequences.set(sequenceKey(scanner), lane)
  }

  /** Of a request that waits for its turn it is not known yet whom to ask. */
  #askKind(lane: AnswerLane, scanner: RequestScanner): void {
    const pass = lane.exchange?.pass
    if (pass !== undefined && waits(pass)) pass.onOver = () => this.#askKind(lane, scanner)
    else if (!this.#merge.over) this.#merge.learn(lane, this.#kindOf(lane, scanner))
  }

  /** A request that was refused answers in order: Triton does so, and it is known at once. */
  #kindOf(lane: AnswerLane, { model, version }: RequestScanner): AnswerKind {
    const slot = lane.exchange?.slot
    if (slot === undefined || model === undefined) return 'in-order'
    const asked = lane.exchange?.aim?.target ?? { model, version }
    return this.#owner.answerKind(asked.model, asked.version, slot, (kind) => {
      if (!this.#merge.over) this.#merge.learn(lane, kind)
    })
  }

  #onClientEnd(): void {
    if (this.#scanner?.torn) return this.end(this.#owner.onRefusedAll('illegal-message'), 'the request ended in the middle of a message')
    this.#clientEnded = true
    for (const lane of this.#sequences.values()) lane.exchange?.endRequest()
    this.#sequences.clear()
    this.#finishIfDone()
  }

  #clientGone(): void {
    if (!this.#merge.over) this.onStreamEnded(this.#merge.abandon(), GRPC.CANCELLED)
  }

  // ——— the answers' side ———

  onLaneDone(lane: AnswerLane): void {
    for (const [key, one] of this.#sequences) if (one === lane) this.#sequences.delete(key)
    this.#finishIfDone()
  }

  onStreamEnded(open: readonly AnswerLane[], status: number): void {
    for (const lane of open) if (!lane.ended) lane.exchange?.leave(status)
    this.#owner.onStreamOver(this)
  }

  countHeld(change: number): void {
    this.#owner.answersHeld.bytes += change
  }

  #finishIfDone(): void {
    if (this.#clientEnded && this.#merge.lanes.size === 0) this.end(GRPC.OK, '')
  }
}

const TOO_MANY = `more than ${limits.streamRequestsMax} requests of one stream at once: wait for answers`
const sequenceKey = ({ model, sequence }: RequestScanner): string => (sequence === undefined ? '' : `${model}\n${sequence.id}`)

/**
 * Each upstream stream carries a part of what the client announced. Its answers come uncompressed: they share one head, which names one encoding.
 */
function headOfEach(head: RequestHead): RequestHead {
  return { ...head, forward: head.forward.filter(({ name }) => name !== 'grpc-accept-encoding' && name !== 'content-length') }
}

/** The first request may still be answered in an encoding that its client takes; gzip is the one that servers use. */
function encodingAsked(head: RequestHead): string | undefined {
  const field = head.forward.find(({ name }) => name === 'grpc-accept-encoding')
  return field !== undefined && /(^|,)\s*gzip\s*(,|$)/.test(valueText(field)) ? 'gzip' : undefined
}
