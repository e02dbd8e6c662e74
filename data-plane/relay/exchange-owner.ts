/** Who decides for an exchange: what happens to it is told here, and the owner's moves follow. */

import type { OpenInflater, ScanRefusal } from '../grpc/request-scanner.ts'
import type { HeaderField } from '../http2/header-field.ts'
import type { Stream } from '../http2/stream.ts'
import type { Outcome } from '../routing/ledger.ts'
import type { AttemptFailure } from './attempt-failure.ts'
import type { Exchange } from './exchange.ts'
import type { Rival } from './rival.ts'

/** How an exchange ended, seen from the endpoint of its last attempt. */
export type ExchangeEnd = {
  readonly outcome: Outcome
  readonly status: number
  /** The endpoint was told to stop and may still be at work. */
  readonly burning: boolean
  /** As the endpoint sent them. */
  readonly trailers?: readonly HeaderField[]
}

/** Of the request on its way up. */
export type RequestOwner<Owned> = {
  /** The request can be sent to an endpoint: its model is known, or it needs none. */
  onRoutable(request: Owned): void
  /** A request for the proxy itself is whole. */
  onLocal(request: Owned, message: Uint8Array): void
  onRefused(request: Owned, refusal: ScanRefusal): void
  /** Behind the request's message comes another: somebody else takes the client's stream over, or the request is refused. */
  onFurther(request: Owned, stream: Stream): void
  /** A request that is to have a shadow has come to its end on its way to an endpoint, and all of it is still here. */
  onWhole(request: Owned): void
  readonly retryCopies: { left: number }
  readonly openInflater: OpenInflater
}

export type ExchangeOwner = RequestOwner<Exchange> & {
  onAttemptFailed(exchange: Exchange, failure: AttemptFailure): void
  /** The second attempt goes on alone, and so it is to be promoted; the first has ended like this. */
  onOvertaken(exchange: Exchange, outcome: Outcome, burning: boolean): void
  onRivalEnded(exchange: Exchange, rival: Rival, outcome: Outcome, burning: boolean): void
  /** The first byte of the current attempt's answer has come. */
  onAnswerBegan(exchange: Exchange): void
  /** Ends an exchange whose deadline has passed, whether or not its timer has said so; answers whether it has. */
  expireIfDue(exchange: Exchange): boolean
  onEnded(exchange: Exchange, end: ExchangeEnd): void
  /** Fields that the proxy adds to the response head or to a whole answer. */
  readonly answerFields: (exchange: Exchange) => readonly HeaderField[]
}
