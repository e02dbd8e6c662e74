/**
 * A second attempt at a request whose first is late: both are under way until one of them begins to answer, and the other is called off. It holds the
 * whole request, and nothing of its answer: once that begins, the exchange takes its stream over.
 * Invariant: it is settled once: by its own failure, by being called off, or as the exchange's own attempt after it took over.
 */
import type { Millis } from '../../core/units.ts'
import { statusOf } from '../grpc/status.ts'
import type { HeaderField } from '../http2/header-field.ts'
import { ERROR } from '../http2/protocol.ts'
import type { LossCause, Stream, StreamSink } from '../http2/stream.ts'
import type { EndpointSlot } from '../routing/endpoint-slot.ts'
import type { Outcome } from '../routing/ledger.ts'
import { outcomeOf } from './answer-fields.ts'
import { type AttemptFailure, failureOfHead, judge } from './attempt-failure.ts'
import type { Exchange } from './exchange.ts'
import type { ExchangeOwner } from './exchange-owner.ts'

export class Rival implements StreamSink {
  readonly slot: EndpointSlot
  readonly startedAt: Millis
  readonly up: Stream
  /** Bytes of the request that have left, as the client counts them: under another name a request has another length. */
  sent = 0
  readonly #exchange: Exchange
  readonly #owner: ExchangeOwner
  #over = false

  constructor(up: Stream, slot: EndpointSlot, now: Millis, exchange: Exchange, owner: ExchangeOwner) {
    this.up = up
    this.slot = slot
    this.startedAt = now
    this.#exchange = exchange
    this.#owner = owner
    up.sink = this
  }

  /** It is called off. */
  dismiss(): void {
    this.#end('neither')
  }

  onHead(_stream: Stream, fields: HeaderField[], endStream: boolean): void {
    if (this.#over) return
    const failure = failureOfHead(fields, endStream)
    if (failure !== undefined) return this.#fail(failure)
    const outcome = endStream ? outcomeOf(statusOf(fields) as number) : 'success'
    if (isBad(outcome)) return this.#end(outcome)
    this.#over = true
    this.#exchange.yieldTo(fields, endStream)
  }

  onReset(_stream: Stream, code: number): void {
    if (this.#over || (code === ERROR.CANCEL && this.#owner.expireIfDue(this.#exchange))) return
    this.#fail({ kind: 'reset', code })
  }

  onLost(_stream: Stream, cause: LossCause): void {
    if (!this.#over) this.#fail({ kind: cause })
  }

  onSent(_stream: Stream, count: number): void {
    this.sent += count
  }

  // The engine tells of no DATA and no trailers before a head, and behind a head somebody else listens.
  onData(): void {}
  onTrailers(): void {}

  #fail(failure: AttemptFailure): void {
    this.#end(judge(failure).outcome)
  }

  #end(outcome: Outcome): void {
    this.#over = true
    const stopped = !this.up.closed
    if (stopped) this.up.reset(ERROR.CANCEL)
    this.#exchange.rival = undefined
    this.#owner.onRivalEnded(this.#exchange, this, outcome, stopped && outcome === 'neither')
  }
}

/** Another attempt that is under way may do better. */
export const isBad = (outcome: Outcome): boolean => outcome !== 'success' && outcome !== 'neither'
