import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { GpuReport, GpuState } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { agedDetails, joinDetails } from './join-details.ts'
import type { GpuDetails } from './read-details.ts'

const NOW = millis(10_000)
const row = (facts: Partial<GpuReport>): GpuReport => GpuReport.fromPartial({ uuid: 'GPU-1', state: GpuState.GPU_STATE_OK, ...facts })
const join = (of: Partial<GpuReport>, facts: Partial<GpuDetails>, age: 'older' | 'younger' = 'older') =>
  joinDetails(row(of), NOW, { at: millis(NOW + (age === 'older' ? -250 : 250)), facts: { migInstances: [], ...facts } })
const slice = { uuid: 'MIG-1', index: 0 }

test.each<[string, Partial<GpuReport>, Partial<GpuDetails>, 'older' | 'younger', Partial<GpuReport>]>([
  ['what only the XML knows is added', {}, { eccCorrected: 4n, remapPending: true }, 'older', { eccCorrected: 4n, remapPending: true }],
  ['what only the row knows stays', { eccUncorrected: 1n }, {}, 'younger', { eccUncorrected: 1n }],
  ['of two counts the younger is right: the row', { eccUncorrected: 5n }, { eccUncorrected: 4n }, 'older', { eccUncorrected: 5n }],
  ['of two counts the younger is right: the XML', { eccUncorrected: 5n }, { eccUncorrected: 6n }, 'younger', { eccUncorrected: 6n }],
  ['a younger unknown does not hide a known fact', { performanceState: 'P2' }, {}, 'younger', { performanceState: 'P2' }],
  [
    'a recovery action of the XML alone fails the GPU',
    {},
    { recoveryAction: 'Drain and Reset' },
    'older',
    { recoveryAction: 'Drain and Reset', state: GpuState.GPU_STATE_FAILED, stateReason: 'recovery action: Drain and Reset' },
  ],
  [
    'an older recovery action of the XML does not outlive a row that says None',
    { recoveryAction: 'None' },
    { recoveryAction: 'Reset' },
    'older',
    { recoveryAction: 'None', state: GpuState.GPU_STATE_OK },
  ],
  [
    'a row that says FAILED is not made OK',
    { state: GpuState.GPU_STATE_FAILED, stateReason: 'the GPU requires a reset' },
    { recoveryAction: 'None' },
    'younger',
    { state: GpuState.GPU_STATE_FAILED, stateReason: 'the GPU requires a reset' },
  ],
  ['slices come with MIG on', { migEnabled: true }, { migEnabled: true, migInstances: [slice] }, 'older', { migInstances: [slice] }],
  [
    'and go when a younger row says that it is off',
    { migEnabled: false },
    { migEnabled: true, migInstances: [slice] },
    'older',
    { migInstances: [] },
  ],
])('%s', (_, of, facts, age, expected) => {
  const joined = join(of, facts, age)
  expect(joined).toMatchObject(expected)
  expect(joined.uuid).toBe('GPU-1')
})

test('nothing is told of a measurement that is too old, and a GPU that wants a reset still wants it', () => {
  const old = (facts: Partial<GpuDetails>) =>
    agedDetails({ at: NOW, facts: { migInstances: [], ...facts } }, millis(NOW + limits.smiDetailsAgeMax))
  expect(old({ eccCorrected: 1n, recoveryAction: 'None' })).toBeUndefined()
  expect(old({ eccCorrected: 1n, recoveryAction: 'Reset' })?.facts).toEqual({ recoveryAction: 'Reset', migInstances: [] })
})
