/** One worker's answer to a question of why, and the answers of several as one of their proxy. */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { Decision, ExplainQuery, ExplainReply } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import type { Explainer } from '../explain/explainer.ts'
import type { RoutingTable } from '../routing/routing-table.ts'

/** `wall` is the same moment as `now`, in milliseconds since 1970. */
type Moment = { readonly now: Millis; readonly wall: number; readonly draw: () => number }

const mostOf = ({ decisionsMax }: ExplainQuery): number => Math.min(decisionsMax || DECISIONS_USUAL, limits.explainDecisionsMax)
const DECISIONS_USUAL = 10

export function explainReply(query: ExplainQuery, explainer: Explainer, routing: RoutingTable, { now, wall, draw }: Moment): ExplainReply {
  const { queryId, model, traceId } = query
  const decisions = explainer.find({ model, trace: traceId, most: mostOf(query) }).map(
    ({ at, trace, attempt, endpoint, choice, end }): Decision => ({
      atUnixMs: BigInt(Math.round(wall - (now - at))),
      ...{ traceId: trace, attempt, endpointId: endpoint, choice, end },
    }),
  )
  return { queryId, decisions, now: model === '' ? undefined : explainer.standing(model, routing, { now, draw, excluded: [] }) }
}

/** The workers' decisions by time; how things stand is told by the first that knows. */
export function joinReplies(query: ExplainQuery, replies: readonly ExplainReply[]): ExplainReply {
  const decisions = replies.flatMap((reply) => reply.decisions).sort((a, b) => Number(b.atUnixMs - a.atUnixMs))
  const now = replies.find((reply) => reply.now !== undefined)?.now
  return { queryId: query.queryId, decisions: decisions.slice(0, mostOf(query)), now }
}
