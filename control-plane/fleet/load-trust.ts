/**
 * Decides whether the load that an endpoint reports is believed. One that says it runs nothing while proxies hold requests on it, for longer than chance
 * would, is not: proxies then rank it by what they hold themselves. Invariant: it is believed again as soon as it says that it has something to do.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { EndpointLoad } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

/** Undefined: nothing is odd. */
export type LoadTrust = { readonly oddSince: Millis; readonly withheld: boolean } | undefined

/** Unknown is not idle. */
export const saysIdle = (load: EndpointLoad | undefined): boolean => load?.running === 0 && (load.queueDepth ?? 0) === 0

export function stepTrust(trust: LoadTrust, load: EndpointLoad | undefined, inFlight: number, now: Millis): LoadTrust {
  if (!saysIdle(load)) return undefined
  if (trust?.withheld === true) return trust
  // What proxies hold is a second old at most; a short gap between two of their requests is no proof of honesty, nor a reason to blame.
  if (inFlight < limits.idleLieInFlight) return undefined
  if (trust === undefined) return { oddSince: now, withheld: false }
  return now - trust.oddSince >= limits.idleLieAfter ? { ...trust, withheld: true } : trust
}
