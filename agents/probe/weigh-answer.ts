/**
 * Decides what the answer to a deep probe means. Invariants: a server that answers that it has too much to do lives, and is busy; nothing that an
 * untried request provokes counts against a model, since the fault may be the request's; a refused connection always counts.
 */
import type { Millis } from '../../core/units.ts'

export type Outcome =
  | { readonly kind: 'answered' }
  /** A gRPC status other than OK, by the server itself. */
  | { readonly kind: 'status'; readonly code: number; readonly detail: string }
  | { readonly kind: 'http'; readonly status: number }
  | { readonly kind: 'timeout'; readonly after: Millis }
  | { readonly kind: 'refused' }
  /** Cut, or not in the protocol that was asked for. */
  | { readonly kind: 'broken'; readonly detail: string }

/** What else the server showed of itself while it was asked. */
export type Signs = {
  /** Its counters of finished work moved. */
  readonly progress: boolean
  /** Requests wait in it, and its counters stood still for no longer than a long request takes. */
  readonly queued: boolean
}

export type Verdict =
  | { readonly kind: 'passed' }
  | { readonly kind: 'busy'; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string }
  /** Asking this way tells nothing: the model's being ready has to do. */
  | { readonly kind: 'senseless'; readonly reason: string }

/** `tried`: the request was written by the owner, is one that every server of the kind takes, or was answered before. */
export function weighAnswer(outcome: Outcome, signs: Signs, tried: boolean): Verdict {
  switch (outcome.kind) {
    case 'answered':
      return { kind: 'passed' }
    case 'status':
      return weighStatus(outcome.code, outcome.detail, signs, tried)
    case 'http':
      return weighHttp(outcome.status, tried)
    case 'timeout':
      return late(`no answer within ${outcome.after} ms`, signs)
    case 'refused':
      return { kind: 'failed', reason: 'refused' }
    case 'broken':
      return fault(outcome.detail, tried)
    default:
      return outcome satisfies never
  }
}

const fault = (reason: string, tried: boolean): Verdict => ({ kind: tried ? 'failed' : 'senseless', reason })

function late(reason: string, signs: Signs): Verdict {
  if (signs.progress) return { kind: 'busy', reason: `${reason}, while it finishes other requests` }
  return signs.queued ? { kind: 'busy', reason: `${reason}, while others wait in its queue` } : { kind: 'failed', reason }
}

type StatusClass = 'busy' | 'late' | 'gone' | 'not-for-us' | 'fault'

/** Numbers of gRPC. A status that is not named here is a fault. */
const STATUS: ReadonlyMap<number, StatusClass> = new Map([
  [3, 'not-for-us'], // INVALID_ARGUMENT
  [4, 'late'], // DEADLINE_EXCEEDED
  [5, 'gone'], // NOT_FOUND
  [7, 'not-for-us'], // PERMISSION_DENIED
  [8, 'busy'], // RESOURCE_EXHAUSTED
  [9, 'not-for-us'], // FAILED_PRECONDITION
  [11, 'not-for-us'], // OUT_OF_RANGE
  [12, 'not-for-us'], // UNIMPLEMENTED
  [14, 'busy'], // UNAVAILABLE: how Triton says that its queue is full
  [16, 'not-for-us'], // UNAUTHENTICATED
])

function weighStatus(code: number, detail: string, signs: Signs, tried: boolean): Verdict {
  const reason = `status ${code}${detail === '' ? '' : `: ${detail}`}`
  switch (STATUS.get(code) ?? 'fault') {
    case 'busy':
      return { kind: 'busy', reason }
    case 'late':
      return late(reason, signs)
    case 'gone':
      return { kind: 'failed', reason }
    case 'not-for-us':
      return { kind: 'senseless', reason }
    default:
      return fault(reason, tried)
  }
}

function weighHttp(status: number, tried: boolean): Verdict {
  const reason = `HTTP ${status}`
  if (status >= 200 && status < 300) return { kind: 'passed' }
  if (status === 429 || status === 503) return { kind: 'busy', reason }
  return status >= 500 ? fault(reason, tried) : { kind: 'senseless', reason }
}
