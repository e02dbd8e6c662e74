/**
 * Decides what to make of an endpoint that proxies see failing while its agent says that it is well. Failures alone make it suspect; one fresh connection
 * from here settles it. Invariants: nobody fails by proxies' word alone, and whoever was refused comes back by way of being tried.
 */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { Outcomes } from './proxy-views.ts'

export type Doubt =
  /** `warmingSince`: it was doubted until then, and starts slowly. */
  | { readonly state: 'none'; readonly warmingSince?: Millis }
  | { readonly state: 'suspect'; readonly askedAt: Millis }
  /** It takes connections and fails what it is asked. */
  | { readonly state: 'open'; readonly quietSince: Millis }
  | { readonly state: 'refused'; readonly reason: string; readonly askedAt: Millis }

export const NO_DOUBT: Doubt = { state: 'none' }

export type Connection = { readonly open: true } | { readonly open: false; readonly reason: string }

const failing = ({ successes, failures }: Outcomes): boolean => failures >= limits.suspectFailures && failures > successes

/** `ready`: its agent says so; of others there is nothing to doubt. */
export function stepDoubt(doubt: Doubt, ready: boolean, outcomes: Outcomes, now: Millis): Doubt {
  if (!ready) return NO_DOUBT
  switch (doubt.state) {
    case 'none':
      return failing(outcomes) ? { state: 'suspect', askedAt: now } : doubt
    case 'suspect':
      // No answer came back at all, not even that of the limit: it is asked again.
      return now - doubt.askedAt >= limits.suspectAgain ? { state: 'suspect', askedAt: now } : doubt
    case 'refused':
      return now - doubt.askedAt >= limits.suspectAgain ? { ...doubt, askedAt: now } : doubt
    case 'open':
      if (outcomes.failures > 0 && outcomes.failures >= outcomes.successes) return { state: 'open', quietSince: now }
      if (outcomes.successes >= limits.probationPasses || now - doubt.quietSince >= limits.suspectQuiet)
        return { state: 'none', warmingSince: now }
      return doubt
    default:
      return doubt satisfies never
  }
}

export function settleDoubt(doubt: Doubt, connection: Connection, now: Millis): Doubt {
  if (doubt.state !== 'suspect' && doubt.state !== 'refused') return doubt
  if (connection.open) return { state: 'open', quietSince: now }
  // The same words as before: how a connection fails may vary from one try to the next, and is no news.
  return { state: 'refused', reason: doubt.state === 'refused' ? doubt.reason : connection.reason, askedAt: doubt.askedAt }
}

/** True when a connection is to be opened because of this step. */
export const asks = (before: Doubt, after: Doubt): boolean => askedAt(after) !== undefined && askedAt(after) !== askedAt(before)

const askedAt = (doubt: Doubt): Millis | undefined => (doubt.state === 'suspect' || doubt.state === 'refused' ? doubt.askedAt : undefined)

export function nextDoubtAt(doubt: Doubt): Millis | undefined {
  switch (doubt.state) {
    case 'none':
      return undefined
    case 'suspect':
    case 'refused':
      return millis(doubt.askedAt + limits.suspectAgain)
    case 'open':
      return millis(doubt.quietSince + limits.suspectQuiet)
    default:
      return doubt satisfies never
  }
}
