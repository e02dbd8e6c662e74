/** Why an attempt failed before its client was promised an answer, what that says of the endpoint, and whether another one may be asked. */
import type { Reason } from '../../core/mesh-error.ts'
import { IMPATIENCE_WORDS, type Impatience } from '../admission/patience.ts'
import { isGrpcType, roleOf } from '../grpc/field-role.ts'
import { GRPC, STATUS_200, statusOf, statusOfHttp } from '../grpc/status.ts'
import { type HeaderField, valueText } from '../http2/header-field.ts'
import { ERROR } from '../http2/protocol.ts'
import type { LossCause } from '../http2/stream.ts'
import type { Outcome } from '../routing/ledger.ts'

/** Why an attempt ended before the client was promised an answer. */
export type AttemptFailure =
  | { readonly kind: LossCause }
  | { readonly kind: 'reset'; readonly code: number }
  /** It took longer than its model may; `blamed` when the server was the one to move. */
  | { readonly kind: 'slow'; readonly what: Impatience; readonly blamed: boolean }
  /** A whole answer that says UNAVAILABLE: a live server that is full. */
  | { readonly kind: 'unavailable'; readonly fields: readonly HeaderField[] }
  /** An answer that is not gRPC. */
  | { readonly kind: 'not-grpc'; readonly status: number; readonly detail: string }

export const LOSS_WORDS: Readonly<Record<LossCause, string>> = {
  unreachable: 'no connection to the server',
  unprocessed: 'the server is going away',
  broken: 'the connection to the server broke',
  protocol: 'the server broke the protocol',
}

/** Undefined: the head begins an answer, or is a whole one. */
export function failureOfHead(fields: readonly HeaderField[], endStream: boolean): AttemptFailure | undefined {
  if (!isOk(fields[0] as HeaderField) || !(endStream || saysGrpc(fields))) return notGrpc(fields)
  if (!endStream) return undefined
  const grpcStatus = statusOf(fields)
  if (grpcStatus === undefined) return { kind: 'not-grpc', status: 200, detail: 'the server ended without a grpc-status' }
  return grpcStatus === GRPC.UNAVAILABLE ? { kind: 'unavailable', fields } : undefined
}

const isOk = (status: HeaderField): boolean => status === STATUS_200 || valueText(status) === '200'

function saysGrpc(fields: readonly HeaderField[]): boolean {
  for (let at = 0; at < fields.length; at++) {
    const field = fields[at] as HeaderField
    if (roleOf(field) === 'content-type') return isGrpcType(field)
  }
  return false
}

function notGrpc(fields: readonly HeaderField[]): AttemptFailure {
  const status = Number(valueText(fields[0] as HeaderField))
  const contentType = fields.find((field) => roleOf(field) === 'content-type')
  const said = contentType === undefined ? 'nothing' : valueText(contentType)
  return { kind: 'not-grpc', status, detail: `the server answered HTTP ${status} with ${said}, not gRPC` }
}

export const statusOfNotGrpc = (status: number): number => (status === 200 ? GRPC.UNKNOWN : statusOfHttp(status))

export type Verdict = {
  readonly outcome: Outcome
  readonly reason: Reason
  readonly detail: string
  /** A second attempt is not taken from the budget. */
  readonly free: boolean
  /** Instead of the reason's own. */
  readonly status?: number
}

/**
 * What a failed attempt says of its endpoint, and whether another may be asked. Free of the budget is what never reached a server, or was lost with
 * one: its number is bounded by what was in flight. A live server that refuses is asked again elsewhere only within the budget.
 */
export function judge(failure: AttemptFailure): Verdict {
  switch (failure.kind) {
    case 'unreachable':
      return { outcome: 'lost', reason: 'upstream-unreachable', detail: LOSS_WORDS.unreachable, free: true }
    case 'broken':
      return { outcome: 'lost', reason: 'upstream-lost', detail: LOSS_WORDS.broken, free: true }
    case 'unprocessed':
      return { outcome: 'backpressure', reason: 'upstream-refused', detail: LOSS_WORDS.unprocessed, free: true }
    case 'protocol':
      return { outcome: 'failure', reason: 'upstream-broken', detail: LOSS_WORDS.protocol, free: false }
    case 'reset':
      if (failure.code === ERROR.REFUSED_STREAM)
        return { outcome: 'backpressure', reason: 'upstream-refused', detail: 'the server refused the stream', free: true }
      if (failure.code === ERROR.ENHANCE_YOUR_CALM)
        return { outcome: 'backpressure', reason: 'upstream-overloaded', detail: 'the server asks for calm', free: false }
      return { outcome: 'failure', reason: 'upstream-broken', detail: `the server reset the stream (code ${failure.code})`, free: false }
    case 'slow': {
      const outcome = failure.blamed ? 'failure' : 'neither'
      return { outcome, reason: 'upstream-slow', detail: IMPATIENCE_WORDS[failure.what], free: false }
    }
    case 'unavailable':
      return { outcome: 'backpressure', reason: 'upstream-overloaded', detail: 'the server is full', free: false }
    case 'not-grpc': {
      const { status, detail } = failure
      if (status === 503 || status === 429) return { outcome: 'backpressure', reason: 'upstream-overloaded', detail, free: false }
      return { outcome: 'failure', reason: 'upstream-no-status', detail, free: false, status: statusOfNotGrpc(status) }
    }
    default:
      return failure satisfies never
  }
}

/** Why the connection itself did not come about, or did not last, is worth telling. */
const LOST: readonly Reason[] = ['upstream-unreachable', 'upstream-lost']

/** `trouble`: what is known of the way to the server; empty when nothing is. */
export function inWords({ reason, detail }: Verdict, trouble: string, attempts: number): string {
  const why = LOST.includes(reason) && trouble !== '' ? `: ${trouble}` : ''
  return `${detail}${why}${attempts > 1 ? ` (attempt ${attempts})` : ''}`
}
