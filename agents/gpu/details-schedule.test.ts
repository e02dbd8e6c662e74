import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { GpuReport, GpuState } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { detailsDue, NEVER_ASKED, statesOf } from './details-schedule.ts'

const asked = { askedAt: millis(1_000), states: '' }
const after = (span: number) => millis(1_000 + span)

test('the first question is put as soon as rows come', () => {
  expect(detailsDue(NEVER_ASKED, false, '', millis(0))).toBe(false)
  expect(detailsDue(NEVER_ASKED, true, '', millis(0))).toBe(true)
})

test.each([
  ['nothing changed, before the period', '', limits.smiDetailsPeriod - 1, false],
  ['nothing changed, after it', '', limits.smiDetailsPeriod, true],
  ['a state changed', 'GPU-1=2', limits.smiDetailsGapMin, true],
  ['a state changed right after the last question', 'GPU-1=2', limits.smiDetailsGapMin - 1, false],
])('%s: %s, %d ms after the last question', (_, states, span, due) => {
  expect(detailsDue(asked, true, states, after(span))).toBe(due)
  expect(detailsDue(asked, false, states, after(span)), 'while nvidia-smi hangs nothing is asked').toBe(false)
})

test('only states count, not measurements, and a GPU that comes later is no change', () => {
  const gpu = (uuid: string, state: GpuState, utilization: number) => GpuReport.fromPartial({ uuid, state, utilization })
  const one = gpu('GPU-1', GpuState.GPU_STATE_OK, 0.1)
  expect(statesOf([one, gpu('GPU-2', GpuState.GPU_STATE_OK, 0.9)])).toBe(statesOf([one]))
  expect(statesOf([gpu('GPU-1', GpuState.GPU_STATE_FAILED, 0.1)])).not.toBe(statesOf([one]))
})
