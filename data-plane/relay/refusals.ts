/** How a request is told that it cannot be served: each refusal is counted, what is not its caller's fault is complained of, and what may pass says when. */
import { limits } from '../../core/limits.ts'
import { REFUSALS, type Reason } from '../../core/mesh-error.ts'
import type { Millis } from '../../core/units.ts'
import type { Complaint, RequestTally } from '../admission/request-tally.ts'
import { retryHint } from '../grpc/retry-hint.ts'
import type { Stream } from '../http2/stream.ts'
import type { Exchange } from './exchange.ts'
import { answerHead } from './refuse-head.ts'
import { modelOf } from './targets.ts'

export type RefusalPorts = {
  /** A number in [0, 1). */
  draw(): number
  complain(about: Complaint): void
  readonly tally: RequestTally
}

export class Refusals {
  readonly #ports: RefusalPorts

  constructor(ports: RefusalPorts) {
    this.#ports = ports
  }

  count(reason: Reason): void {
    const { refusals } = this.#ports.tally
    refusals[reason] = (refusals[reason] ?? 0) + 1
  }

  complain(exchange: Exchange, status: number, detail: string): void {
    const endpoints = exchange.excluded.map((slot) => slot.id)
    this.#ports.complain({ path: exchange.head.path, model: modelOf(exchange), status, detail, attempts: exchange.attempts, endpoints })
  }

  /** By its head, before it became an exchange: there is nothing to settle. */
  tellAtOnce(stream: Stream, reason: Reason, detail: string): undefined {
    this.count(reason)
    answerHead(stream, reason, detail)
  }

  /** `status` where the reason alone does not tell it; `again`: after which time another try may go better. */
  tell(exchange: Exchange, reason: Reason, detail: string, status: number = REFUSALS[reason].grpc, again = USUAL_HINTS[reason]): void {
    this.count(reason)
    if (REFUSALS[reason].retry !== 'never') this.complain(exchange, status, detail)
    if (again === undefined) return exchange.answerError(status, detail)
    const hint = retryHint(again, this.#ports.draw())
    exchange.answerError(status, `${detail}; ${hint.words}`, hint.fields)
  }
}

const USUAL_HINTS: Readonly<Partial<Record<Reason, Millis>>> = {
  'no-ready-endpoint': limits.retryHintUsual,
  'owner-unavailable': limits.retryHintUsual,
}
