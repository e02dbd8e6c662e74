/** Remembers sampled decisions of one worker, each from its choice to the end of its attempt, and says how a model's endpoints stand now. */
import { type Millis, millis } from '../../core/units.ts'
import type { Choice } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import { isTraced, traceIdOf } from '../grpc/trace-parent.ts'
import type { Exchange } from '../relay/exchange.ts'
import type { Ask } from '../routing/ask.ts'
import type { EndpointSlot } from '../routing/endpoint-slot.ts'
import type { Outcome } from '../routing/ledger.ts'
import type { Candidates } from '../routing/model-groups.ts'
import type { RoutingTable } from '../routing/routing-table.ts'
import { DecisionBook, type DecisionQuery, type DecisionRecord } from './decision-book.ts'
import { describeChoice } from './describe-choice.ts'

export class Explainer {
  #book = new DecisionBook()

  /** Whether the attempt that begins is one to remember. */
  wants({ head, attempts }: Exchange, now: Millis): boolean {
    return this.#book.wants(isTraced(head.trace), attempts > 0, now)
  }

  /** Before the choice is charged: it is described by what it was made from. */
  note(exchange: Exchange, model: string, snapshotVersion: string, from: Candidates, ask: Ask, chosen: EndpointSlot): void {
    const choice = describeChoice({ model, snapshotVersion }, from, ask, chosen)
    const { head, attempts } = exchange
    const about = { at: ask.now, trace: traceIdOf(head.trace), attempt: attempts + 1, endpoint: chosen.id }
    exchange.decision = { ...about, choice, firstByte: undefined, end: undefined }
    this.#book.add(exchange.decision)
  }

  /** `status` is what the client got; undefined when another attempt follows. */
  settle(exchange: Exchange, outcome: Outcome, status: number | undefined, now: Millis): void {
    const { decision } = exchange
    if (decision === undefined) return
    exchange.decision = undefined
    decision.end = {
      ...{ outcome, status, firstByteMs: decision.firstByte },
      totalMs: millis(now - exchange.attemptAt),
      messages: exchange.answers.messages,
      requestBytes: BigInt(exchange.received),
    }
  }

  /** What was decided so far was for no client; nor does it count against what is remembered of this second. */
  forget(): void {
    this.#book = new DecisionBook()
  }

  find(query: DecisionQuery): readonly DecisionRecord[] {
    return this.#book.find(query)
  }

  /** Undefined when nobody could ever serve the model. */
  standing(model: string, routing: RoutingTable, ask: Ask): Choice | undefined {
    const from = routing.candidatesFor(model) ?? routing.routedTo(model)
    return from === undefined ? undefined : describeChoice({ model, snapshotVersion: routing.version }, from, ask, undefined)
  }
}
