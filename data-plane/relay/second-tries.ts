/**
 * Whether a failed attempt may be followed by another, and when. What a server says of that itself (gRFC A6, `grpc-retry-pushback-ms`) is heeded: it may forbid
 * another attempt or ask for a pause. A pause that is longer than we wait, or than the caller does, is no reason to ask earlier: then there is no other attempt.
 */
import { limits } from '../../core/limits.ts'
import { REFUSALS } from '../../core/mesh-error.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { RetryBudget } from '../admission/retry-budget.ts'
import { type HeaderField, valueText } from '../http2/header-field.ts'
import type { Candidates } from '../routing/model-groups.ts'
import { hasUntried } from '../routing/pick.ts'
import type { AttemptFailure, Verdict } from './attempt-failure.ts'
import type { Exchange } from './exchange.ts'

/** Undefined: the server says nothing of it. */
export function pushbackOf(fields: readonly HeaderField[]): Millis | 'never' | undefined {
  const field = fields.find(({ name }) => name === 'grpc-retry-pushback-ms')
  if (field === undefined) return undefined
  const text = valueText(field)
  return /^\d{1,9}$/.test(text) ? millis(Number(text)) : 'never'
}

/** The pause before the next attempt; undefined: there is none. It takes from the budget what it grants. */
export function secondTry(
  exchange: Exchange,
  failure: AttemptFailure,
  verdict: Verdict,
  among: { readonly candidates: Candidates | undefined; readonly budget: RetryBudget; readonly now: Millis },
): Millis | undefined {
  const { candidates, budget, now } = among
  const pushback = failure.kind === 'unavailable' ? pushbackOf(failure.fields) : undefined
  if (!exchange.canRetry || REFUSALS[verdict.reason].retry !== 'elsewhere' || pushback === 'never') return undefined
  if (candidates === undefined || exchange.attempts >= candidates.attemptsMax) return undefined
  const pause = pushback ?? millis(0)
  if (pause > limits.retryPauseMax || (exchange.deadline !== undefined && now + pause >= exchange.deadline)) return undefined
  const untried = hasUntried(candidates, exchange.excluded)
  // A server that has not looked at the request may take it on another connection, and one that says when to come again may take it then.
  if (!untried && verdict.reason !== 'upstream-refused' && pushback === undefined) return undefined
  if (!verdict.free && !budget.take()) return undefined
  if (!untried) exchange.excluded.length = 0
  return pause
}

/**
 * Whether another model may be asked, where the request has one to fall back to, once all that may be asked of its own has been: that costs the budget
 * what another endpoint does.
 */
export function mayFallBack({ canRetry, aim }: Exchange, failure: AttemptFailure, verdict: Verdict, budget: RetryBudget): boolean {
  if (failure.kind === 'unavailable' && pushbackOf(failure.fields) === 'never') return false
  if (!canRetry || REFUSALS[verdict.reason].retry !== 'elsewhere' || aim?.hasFallback !== true) return false
  return verdict.free || budget.take()
}
