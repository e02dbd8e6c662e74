/**
 * Decides when changes go to proxies. What a request could be lost by goes at once; what only shifts shares waits until there is a round anyway, so
 * that a fleet in which something always changes does not cost each proxy a message and an answer in every tick. After a quiet time both go at once.
 * With many proxies shares and loads gather for longer, since each proxy then sees a small part of the requests; what is urgent does not.
 * Invariant: a round is never nearer to the one before than the time that telling all proxies may take.
 */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import { EndpointState, Panic, type Endpoint as WireEndpoint } from '../../proto/gen/millrace/mesh/v1/mesh.ts'

export type Urgency = 'calm' | 'urgent'

const SHUT: readonly EndpointState[] = [
  EndpointState.ENDPOINT_STATE_FAILED,
  EndpointState.ENDPOINT_STATE_DRAINING,
  EndpointState.ENDPOINT_STATE_STARTING,
]

/** Undefined: there was none, or there is none any more. */
export function urgencyOf(before: WireEndpoint | undefined, after: WireEndpoint | undefined): Urgency {
  if (before === undefined) return 'calm'
  if (after === undefined) return 'urgent'
  const elsewhere = before.address !== after.address || before.protocol !== after.protocol
  const serves = before.models.length !== after.models.length || before.models.some((model, at) => model !== after.models[at])
  const shut = before.state !== after.state && SHUT.includes(after.state)
  const barred = before.panic !== after.panic && after.panic === Panic.PANIC_NEVER
  return elsewhere || serves || shut || barred || after.freshness > before.freshness ? 'urgent' : 'calm'
}

/** From one round of loads, and of what only shifts shares, to the next. `holds`: a load that is not told again does not grow old by that. */
export function calmPeriod(listeners: number, holds: boolean): Millis {
  const { calmPushPeriod, calmPushPeriodMax, calmPushPerProxy } = limits
  return holds ? millis(Math.min(Math.max(calmPushPeriod, listeners * calmPushPerProxy), calmPushPeriodMax)) : calmPushPeriod
}

export class Cadence {
  #roundAt: Millis | undefined

  /** `listeners`: proxies that are told; `period`: see `calmPeriod`. */
  due(urgency: Urgency, listeners: number, period: Millis, now: Millis): boolean {
    if (this.#roundAt === undefined) return true
    const gap = Math.max(urgency === 'calm' ? period : 0, listeners * limits.pushGapPerProxy)
    return now - this.#roundAt >= gap
  }

  round(now: Millis): void {
    this.#roundAt = now
  }
}
