/**
 * Joins what the XML told of a GPU to its row. Of two that know a fact the younger one is right; the XML may make a GPU FAILED and never makes one OK, since
 * a row that says FAILED says so of this moment.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import { type GpuReport, GpuState } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { judge } from './parse-line.ts'
import type { GpuDetails } from './read-details.ts'

/** `at`: when the question was put, since the driver may have looked at any moment from then on. */
export type ToldDetails = { readonly facts: GpuDetails; readonly at: Millis }

export function joinDetails(row: GpuReport, rowAt: Millis, details: ToldDetails): GpuReport {
  const [younger, older] = details.at > rowAt ? [details.facts, row] : [row, details.facts]
  const recoveryAction = younger.recoveryAction ?? older.recoveryAction
  const migEnabled = younger.migEnabled ?? older.migEnabled
  return {
    ...row,
    eccCorrected: younger.eccCorrected ?? older.eccCorrected,
    eccUncorrected: younger.eccUncorrected ?? older.eccUncorrected,
    remapPending: younger.remapPending ?? older.remapPending,
    performanceState: younger.performanceState ?? older.performanceState,
    recoveryAction,
    migEnabled,
    migInstances: migEnabled === true ? details.facts.migInstances : [],
    ...(row.state === GpuState.GPU_STATE_FAILED ? {} : judge([], recoveryAction)),
  }
}

/** Measurements that nobody vouches for any more are dropped; that a GPU wants to be recovered holds until somebody says that it does not. */
export function agedDetails(details: ToldDetails, now: Millis): ToldDetails | undefined {
  if (now - details.at < limits.smiDetailsAgeMax) return details
  const { recoveryAction } = details.facts
  return recoveryAction === undefined || recoveryAction === 'None'
    ? undefined
    : { at: details.at, facts: { recoveryAction, migInstances: [] } }
}
