/**
 * How an endpoint that was an outlier finds its way back: away for a time that grows with how often it was one, then a small share that grows by successes
 * and time. Invariants: nobody comes back to its whole weight but by way of probation; one failure in probation sends it away again, for longer.
 */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { OutlierReason } from '../routing/away.ts'

/** `times`: how often it was an outlier lately. */
export type Standing = { readonly times: number } & (
  | { readonly state: 'out'; readonly why: OutlierReason; readonly until: Millis }
  | { readonly state: 'probation'; readonly why: OutlierReason; readonly step: number; readonly since: Millis; readonly passed: number }
  /** Back; one time is forgiven after each such span. */
  | { readonly state: 'in'; readonly since: Millis }
)

/** Parts of its weight, one after the other. */
const STEPS = [0.1, 0.25, 0.5] as const

export function sendAway(before: Standing | undefined, why: OutlierReason, now: Millis): Standing & { readonly state: 'out' } {
  const times = (before?.times ?? 0) + 1
  return { state: 'out', why, times, until: millis(now + Math.min(limits.outlierTimeFirst * times, limits.outlierTimeMax)) }
}

export function succeed(standing: Standing): Standing {
  return standing.state === 'probation' ? { ...standing, passed: standing.passed + 1 } : standing
}

/** Undefined: all is forgiven. */
export function passTime(standing: Standing, now: Millis): Standing | undefined {
  const { times } = standing
  switch (standing.state) {
    case 'out':
      return now < standing.until ? standing : { state: 'probation', why: standing.why, times, step: 0, since: now, passed: 0 }
    case 'probation': {
      if (standing.passed < limits.probationSuccesses || now - standing.since < limits.probationStep) return standing
      const step = standing.step + 1
      return step < STEPS.length ? { ...standing, step, since: now, passed: 0 } : { state: 'in', times, since: now }
    }
    case 'in':
      if (now - standing.since < limits.outlierTimeFirst) return standing
      return times === 1 ? undefined : { state: 'in', times: times - 1, since: now }
    default:
      return standing satisfies never
  }
}

/** The part of its weight that it gets. */
export const rampOf = (standing: Standing | undefined): number => (standing?.state === 'probation' ? (STEPS[standing.step] ?? 1) : 1)
