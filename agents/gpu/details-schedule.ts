/**
 * Decides when nvidia-smi is asked for its XML: now and then, and once when a GPU has changed its state, as that is when a recovery action appears. Never
 * while the rows do not come: what hangs for one nvidia-smi hangs for a second one too.
 */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import { type GpuReport, GpuState } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

export type DetailsSchedule = {
  readonly askedAt: Millis | undefined
  /** Of the GPUs, as they were when it was last asked. */
  readonly states: string
}

export const NEVER_ASKED: DetailsSchedule = { askedAt: undefined, states: '' }

/** Which GPUs are not well, by the rows alone: an answer must not be the reason for the next question, nor must a row that comes for the first time. */
export const statesOf = (rows: Iterable<GpuReport>): string =>
  [...rows]
    .filter(({ state }) => state !== GpuState.GPU_STATE_OK)
    .map(({ uuid, state }) => `${uuid}=${state}`)
    .join(' ')

export function detailsDue({ askedAt, states }: DetailsSchedule, rowsCome: boolean, now: string, at: Millis): boolean {
  if (!rowsCome) return false
  if (askedAt === undefined) return true
  return at >= millis(askedAt + (states === now ? limits.smiDetailsPeriod : limits.smiDetailsGapMin))
}
