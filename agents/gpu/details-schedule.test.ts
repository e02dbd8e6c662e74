import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { GpuReport, GpuState } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { detailsDue, NEVER_ASKED, statesOf } from './details-schedule.ts'

const asked = { askedAt: millis(1_000), states: 'GPU-1=1' }
const after = (span: number) => millis(1_000 + span)

test('the first question is put as soon as rows come', () => {
  expect(detailsDue(NEVER_ASKED, false, '', millis(0))).toBe(false)
  expect(detailsDue(NEVER_ASKED, true, 'GPU-1=1', millis(0))).toBe(true)
})

test.each([
  ['nothing changed, before the period', 'GPU-1=1', limits.smiDetailsPeriod - 1, false],
  ['nothing changed, after it', 'GPU-1=1', limits.smiDetailsPeriod, true],
  ['a state changed', 'GPU-1=2', limits.smiDetailsGapMin, true],
  ['a state changed right after the last question', 'GPU-1=2', limits.smiDetailsGapMin - 1, false],
])('%s: %s, %d ms after the last question', (_, states, span, due) => {
  expect(detailsDue(asked, true, states, after(span))).toBe(due)
  expect(detailsDue(asked, false, states, after(span)), 'while nvidia-smi hangs nothing is asked').toBe(false)
})

test('only states count, not measurements', () => {
  const gpu = (state: GpuState, utilization: number) => statesOf([GpuReport.fromPartial({ uuid: 'GPU-1', state, utilization })])
  expect(gpu(GpuState.GPU_STATE_OK, 0.1)).toBe(gpu(GpuState.GPU_STATE_OK, 0.9))
  expect(gpu(GpuState.GPU_STATE_OK, 0.1)).not.toBe(gpu(GpuState.GPU_STATE_FAILED, 0.1))
})
