import { expect, test } from 'vitest'
import { type GpuReport, GpuState } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { parseSmiLine } from './parse-line.ts'
import { FULL_QUERY, withoutField } from './query.ts'

const UUID = 'GPU-b42dd28e-ffdd-8720-1df0-98bd8cdc05b1'
const H100 = `0, ${UUID}, 590.48.01, 100, 11, 81559, 19818, 59, 631.95, 700.00, 1980, 1980, 0x0000000000000004, 3, 0, No, Disabled, None, P0, 00000000:18:00.0, NVIDIA H100 80GB HBM3`
const MIG = H100.replace('100, 11,', '[N/A], [N/A],').replace('Disabled', 'Enabled')
const CONSUMER = `0, ${UUID}, 595.71.05, 7, 2, 16376, 1474, 46, 84.24, 320.00, 2805, 3165, 0x0000000000000000, [N/A], [N/A], [N/A], [N/A], None, P2, 00000000:01:00.0, NVIDIA GeForce RTX 4080 SUPER`

const gpu = (line: string, query = FULL_QUERY): GpuReport => {
  const parsed = parseSmiLine(line, query)
  if (parsed.kind !== 'gpu') throw new Error(`${parsed.kind}: ${line}`)
  return parsed.gpu
}

test('a row of a busy H100 is read whole, with its units', () => {
  expect(gpu(H100)).toEqual({
    uuid: UUID,
    name: 'NVIDIA H100 80GB HBM3',
    pciBusId: '00000000:18:00.0',
    driverVersion: '590.48.01',
    index: 0,
    utilization: 1,
    memoryUtilization: 0.11,
    memoryTotalBytes: 81_559n * 1_048_576n,
    memoryUsedBytes: 19_818n * 1_048_576n,
    temperatureCelsius: 59,
    powerDrawWatts: 631.95,
    powerLimitWatts: 700,
    smClockMhz: 1980,
    smClockMaxMhz: 1980,
    throttleReasons: 4n,
    eccUncorrected: 0n,
    eccCorrected: 3n,
    remapPending: false,
    performanceState: 'P0',
    migEnabled: false,
    recoveryAction: 'None',
    migInstances: [],
    state: GpuState.GPU_STATE_OK,
    stateReason: '',
  })
})

test('under MIG the whole card has no utilisation, and keeps its memory', () => {
  expect(gpu(MIG)).toMatchObject({
    utilization: undefined,
    memoryUtilization: undefined,
    migEnabled: true,
    memoryUsedBytes: 20_780_679_168n,
  })
})

test('a consumer card knows neither ECC nor MIG', () => {
  expect(gpu(CONSUMER)).toMatchObject({ eccUncorrected: undefined, migEnabled: undefined, utilization: 0.07, state: GpuState.GPU_STATE_OK })
})

test.each(['[N/A]', 'N/A', '[Not Supported]', '[Unknown Error]', '[Insufficient Permissions]', 'ERR!', '', '-', '-1', '101', 'nan', '1e1'])(
  'a utilisation of "%s" is unknown, not idle',
  (cell) => {
    expect(gpu(H100.replace(', 100,', `, ${cell},`)).utilization).toBeUndefined()
  },
)

test.each([
  ['a corrected', ', 3, 0, No,', ', 3, 7, No,', { eccCorrected: 3n, eccUncorrected: 7n }],
  ['rows to remap', ', 0, No,', ', 0, Yes,', { remapPending: true }],
  ['no word on rows to remap', ', 0, No,', ', 0, [N/A],', { remapPending: undefined }],
  ['a slow state', ', P0,', ', P12,', { performanceState: 'P12' }],
  ['an unknown state', ', P0,', ', P16,', { performanceState: undefined }],
  [
    'a deprecated cell',
    ', None,',
    ', [Requested functionality has been deprecated],',
    { recoveryAction: undefined, state: GpuState.GPU_STATE_OK },
  ],
  [
    'the same without brackets',
    ', None,',
    ', Requested functionality has been deprecated,',
    { recoveryAction: undefined, state: GpuState.GPU_STATE_OK },
  ],
  ['a lost GPU that still has a row', ', 59,', ', [GPU is lost],', { state: GpuState.GPU_STATE_FAILED, stateReason: 'the GPU is lost' }],
])('%s is read as what it says', (_, from, to, expected) => {
  expect(gpu(H100.replace(from, to))).toMatchObject(expected)
})

test('a GPU that requires a reset is FAILED', () => {
  expect(gpu(H100.replace(', 100, 11,', ', [GPU requires reset], [GPU requires reset],'))).toMatchObject({
    state: GpuState.GPU_STATE_FAILED,
    stateReason: 'the GPU requires a reset',
    utilization: undefined,
  })
})

test.each(['Reset', 'Reboot', 'Drain P2P', 'Drain and Reset', 'Some-Later_Word (2)'])(
  'a recovery action "%s" makes a GPU FAILED',
  (action) => {
    expect(gpu(H100.replace(', None,', `, ${action},`))).toMatchObject({
      state: GpuState.GPU_STATE_FAILED,
      stateReason: `recovery action: ${action}`,
    })
  },
)

test('a driver that knows no recovery action does not fail its GPUs', () => {
  expect(gpu(H100.replace(', None,', ', [N/A],'))).toMatchObject({ state: GpuState.GPU_STATE_OK, recoveryAction: undefined })
})

test('a name with commas shifts no other column', () => {
  expect(gpu(H100.replace('NVIDIA H100 80GB HBM3', 'Vendor, Inc. Card, 80 GB'))).toMatchObject({
    name: 'Vendor, Inc. Card, 80 GB',
    memoryTotalBytes: 81_559n * 1_048_576n,
  })
})

test('a column that was not asked for is unknown, and the others are read at their new places', () => {
  const query = withoutField(FULL_QUERY, 'gpu_recovery_action') ?? []
  expect(gpu(H100.replace(', None,', ','), query)).toMatchObject({
    recoveryAction: undefined,
    name: 'NVIDIA H100 80GB HBM3',
    migEnabled: false,
  })
})

test.each([
  ['Unable to determine the device handle for GPU 0000:0C:00.0: GPU is lost.  Reboot the system to recover this GPU', '00000000:0C:00.0'],
  ['Unable to determine the device handle for gpu 0000:08:00.0: GPU is lost.', '00000000:08:00.0'],
  ['Unable to determine the device handle for GPU1: 0000:34:00.0: Unknown Error', '00000000:34:00.0'],
  ['Unable to determine the device handle for GPU0000:CB:00.0: Unknown Error', '00000000:CB:00.0'],
])('%s', (line, pciBusId) => {
  expect(parseSmiLine(line, FULL_QUERY)).toMatchObject({
    kind: 'lost',
    pciBusId,
    reason: expect.stringMatching(/GPU is lost|Unknown Error/),
  })
})

test.each([
  ['No devices were found', 'no-devices'],
  [
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed.",
    'driver',
  ],
  ['Failed to initialize NVML: Driver/library version mismatch', 'driver'],
  ['Failed to initialize NVML: Unknown Error', 'driver'],
  ['Failed to initialize NVML: Insufficient Permissions', 'rights'],
])('"%s" fails the whole run, in words', (line, cause) => {
  expect(parseSmiLine(line, FULL_QUERY)).toMatchObject({ kind: 'run-failed', failure: { cause, reason: expect.stringMatching(/.{20}/) } })
})

test('a refused field is named', () => {
  expect(parseSmiLine('Field "gpu_recovery_action" is not a valid field to query.', FULL_QUERY)).toEqual({
    kind: 'field-refused',
    name: 'gpu_recovery_action',
  })
})

test('a comma too many or too few shifts no cell into the place of another', () => {
  const at = (text: string): number => H100.indexOf(text)
  for (const shifted of [
    H100.replace('631.95', '631,95'),
    H100.replace(', 59,', ' 59,').replace('H100 80GB', 'H100, 80GB'),
    `${H100.slice(0, at('P0'))}${H100.slice(at('00000000:18'))}, extra`,
  ])
    expect(parseSmiLine(shifted, FULL_QUERY)).toEqual({ kind: 'noise' })
})

test.each([
  '',
  'index, uuid, name',
  '0, 1, 2',
  H100.slice(0, 60),
  H100.replace(UUID, 'GPU-'),
  H100.replace('00000000:18:00.0', '[Unknown Error]'),
  `x${H100}`,
  'NVML library version: 610.43',
])('noise: %s', (line) => {
  expect(parseSmiLine(line, FULL_QUERY)).toEqual({ kind: 'noise' })
})
