/** Requests that are refused by their head: no exchange begins, and there is nothing to settle. */
import { limits } from '../../core/limits.ts'
import { REFUSALS, type Reason } from '../../core/mesh-error.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { TimerWheel } from '../admission/timer-wheel.ts'
import type { RequestHead } from '../grpc/request-head.ts'
import { trailers, trailersOnly } from '../grpc/status.ts'
import { resetMalformed, type Stream } from '../http2/stream.ts'
import { PlainAnswer } from '../local/plain-answer.ts'

export function answerHead(stream: Stream, reason: Reason, detail: string): void {
  stream.sendHead(trailersOnly(REFUSALS[reason].grpc, detail), true)
}

/** A head that is too large, or that carries characters which no header may: the block was decoded all the same. */
export function refuseBadHead(stream: Stream, problem: 'too-large' | 'malformed'): void {
  if (problem === 'malformed') return resetMalformed(stream)
  answerHead(stream, 'head-too-large', `the request's headers exceed ${limits.headerListMax} bytes or ${limits.headerFieldsMax} fields`)
}

/** Heard out, up to a limit, and told in words that a person can read. */
export function answerPlainly(stream: Stream, head: RequestHead, wheel: TimerWheel, now: Millis): void {
  const fields = trailers(REFUSALS['not-grpc'].grpc, NOT_GRPC)
  const answer = new PlainAnswer(stream, 415, fields, head.method === 'HEAD' ? NO_BYTES : NOT_GRPC_LINE, () => wheel.cancel(timer))
  const timer = wheel.schedule(millis(now + limits.firstMessageTimeout), () => answer.say())
  if (stream.remoteEnded) answer.say()
}

const NO_BYTES = new Uint8Array(0)
const NOT_GRPC = 'this port speaks gRPC: content-type application/grpc by POST'
const NOT_GRPC_LINE = Uint8Array.from(`${NOT_GRPC}\n`, (letter) => letter.charCodeAt(0))
