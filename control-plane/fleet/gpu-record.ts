/**
 * Judges one GPU by what its agent says of it, over time. Invariants: what is not said is not held against it; throttling and corrected errors that grow take
 * weight first and drain only when they last; a GPU whose errors grew is not trusted again before its counters start anew, which a reset makes them do.
 */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import { type GpuReport, GpuState, XidAction } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { type EccGrowth, eccMark, nextEccAt, stepEccGrowth } from './ecc-growth.ts'
import { type Episode, lasts, stepEpisode } from './episode.ts'
import { sameFields, sameTexts } from './kept.ts'

/** NVML's clocks_event_reasons. Idle, application clocks and the power cap of every well-used GPU are none of these. */
const HW_SLOWDOWN = 0x8n
const SW_THERMAL = 0x20n
const HW_THERMAL = 0x40n
const HW_POWER_BRAKE = 0x80n
const HARD = HW_THERMAL | HW_POWER_BRAKE
const SLOW = HW_SLOWDOWN | SW_THERMAL | HARD

/** What a GPU is still worth. */
const SLOWED = 0.7
const HARD_SLOWED = 0.4
const REMAP_PENDING = 0.5
const ERRORS_GROW = 0.7

/**
 * What a verdict is made of. It is the same object for as long as nothing of it changes, whatever the GPU's load and temperature do; GPUs of a node of
 * which the same is to be said share it.
 */
export type GpuFacts = Pick<GpuReport, 'state' | 'stateReason' | 'recoveryAction' | 'faultAction' | 'remapPending' | 'eccUncorrected'> & {
  readonly slow: Episode | undefined
  readonly hard: Episode | undefined
  /** Where the count of uncorrected errors stood when it was last taken as it is. */
  readonly eccFrom: { readonly count: bigint; readonly at: Millis } | undefined
  readonly eccGrowth: EccGrowth | undefined
  /** Uuids of its MIG instances. */
  readonly instances: readonly string[]
}

const NO_INSTANCES: readonly string[] = []

export type GpuVerdict =
  /** `rests`: it is slow for so long that it should cool down. */
  | { readonly kind: 'usable'; readonly factor: number; readonly rests: boolean; readonly reason: string }
  /** Whoever uses it has to let go of it. `firm`: the GPU asks for it; otherwise it is caution. */
  | { readonly kind: 'leaving'; readonly firm: boolean; readonly reason: string }
  | { readonly kind: 'gone'; readonly asksRecovery: boolean; readonly reason: string }

/** `beside`: another GPU of the node. */
export function stepGpu(was: GpuFacts | undefined, report: GpuReport, now: Millis, beside?: GpuFacts): GpuFacts {
  const { throttleReasons: reasons = 0n, migInstances } = report
  const facts: GpuFacts = {
    state: report.state,
    stateReason: report.stateReason,
    recoveryAction: report.recoveryAction,
    faultAction: report.faultAction,
    remapPending: report.remapPending,
    // A count that cannot be read for a while is still what it was.
    eccUncorrected: report.eccUncorrected ?? was?.eccUncorrected,
    slow: stepEpisode(was?.slow, (reasons & SLOW) !== 0n, limits.throttleClear, now),
    hard: stepEpisode(was?.hard, (reasons & HARD) !== 0n, limits.throttleClear, now),
    eccFrom: stepEcc(was?.eccFrom, report.eccUncorrected, now),
    eccGrowth: stepEccGrowth(was?.eccGrowth, report.eccCorrected, now),
    instances: migInstances.length === 0 ? NO_INSTANCES : migInstances.map(({ uuid }) => uuid),
  }
  if (was !== undefined && sameFacts(was, facts)) return was
  return beside !== undefined && sameFacts(beside, facts) ? beside : facts
}

const sameFacts = (a: GpuFacts, b: GpuFacts): boolean =>
  a.state === b.state &&
  a.stateReason === b.stateReason &&
  a.recoveryAction === b.recoveryAction &&
  a.faultAction === b.faultAction &&
  a.remapPending === b.remapPending &&
  a.eccUncorrected === b.eccUncorrected &&
  sameFields(a.slow, b.slow) &&
  sameFields(a.hard, b.hard) &&
  sameFields(a.eccFrom, b.eccFrom) &&
  sameFields(a.eccGrowth, b.eccGrowth) &&
  sameTexts(a.instances, b.instances)

function stepEcc(from: GpuFacts['eccFrom'], count: bigint | undefined, now: Millis): GpuFacts['eccFrom'] {
  if (count === undefined) return from
  if (from === undefined || count < from.count) return { count, at: now }
  return !grewTooMuch(from, count) && now - from.at >= limits.eccSpan ? { count, at: now } : from
}

const grewTooMuch = (from: GpuFacts['eccFrom'], count: bigint | undefined): boolean =>
  from !== undefined && count !== undefined && count - from.count > BigInt(limits.eccErrorsMax)

/** What the kernel told of leaves the GPU out of service until somebody acts. */
const ASKS_RECOVERY: readonly XidAction[] = [XidAction.XID_ACTION_RESET_GPU, XidAction.XID_ACTION_REBOOT_NODE]

export function judgeGpu(facts: GpuFacts, now: Millis): GpuVerdict {
  const { recoveryAction = '', faultAction, state, stateReason, eccFrom, eccUncorrected } = facts
  const asksRecovery =
    (recoveryAction !== '' && recoveryAction !== 'None') || (faultAction !== undefined && ASKS_RECOVERY.includes(faultAction))
  if (recoveryAction.startsWith('Drain'))
    return { kind: 'leaving', firm: true, reason: stateReason || `recovery action: ${recoveryAction}` }
  if (state === GpuState.GPU_STATE_FAILED) return { kind: 'gone', asksRecovery, reason: stateReason || 'failed' }
  if (grewTooMuch(eccFrom, eccUncorrected))
    return { kind: 'leaving', firm: false, reason: `more than ${limits.eccErrorsMax} uncorrected memory errors since it was last well` }
  if (eccMark(facts.eccGrowth, now) === 'leave') return { kind: 'leaving', firm: false, reason: 'its corrected memory errors grow fast' }
  return judgeSpeed(facts, now)
}

function judgeSpeed({ remapPending, slow, hard, eccGrowth }: GpuFacts, now: Millis): GpuVerdict {
  const usable = (factor: number, reason: string, rests = false): GpuVerdict => ({ kind: 'usable', factor, rests, reason })
  if (lasts(hard, limits.throttleClear, now)) {
    if (now - hard.since < limits.throttleDrain) return usable(HARD_SLOWED, 'slowed down by heat or power')
    return usable(HARD_SLOWED, `slowed down by heat or power for more than ${limits.throttleDrain / 1000} s`, true)
  }
  if (remapPending === true) return usable(REMAP_PENDING, 'memory rows wait to be remapped at its next reset')
  if (eccMark(eccGrowth, now) === 'slower') return usable(ERRORS_GROW, 'its corrected memory errors grow')
  if (lasts(slow, limits.throttleClear, now)) return usable(SLOWED, 'slowed down')
  return usable(1, '')
}

/** When the verdict may change by the passing of time alone. */
export function nextGpuLookAt({ slow, hard, eccGrowth }: GpuFacts, now: Millis): Millis | undefined {
  const ends = [slow, hard]
    .map((episode) => (episode?.pausedAt === undefined ? undefined : episode.pausedAt + limits.throttleClear))
    .concat(hard === undefined ? [] : [hard.since + limits.throttleDrain], nextEccAt(eccGrowth, now))
    .filter((at) => at !== undefined && at > now)
  return ends.length === 0 ? undefined : millis(Math.min(...(ends as number[])))
}
