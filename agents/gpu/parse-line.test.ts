import { expect, test } from 'vitest'
import { type GpuReport, GpuState } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { parseSmiLine } from './parse-line.ts'
import { FULL_QUERY, withoutField } from './query.ts'

const UUID = 'GPU-b42dd28e-ffdd-8720-1df0-98bd8cdc05b1'
const H100 = `0, ${UUID}, 00000000:18:00.0, 590.48.01, 100, 11, 81559, 19818, 59, 631.95, 700.00, 1980, 1980, 0x0000000000000004, 0, Disabled, None, NVIDIA H100 80GB HBM3`
const MIG = H100.replace('100, 11,', '[N/A], [N/A],').replace('Disabled', 'Enabled')
const CONSUMER = `0, ${UUID}, 00000000:01:00.0, 595.71.05, 7, 2, 16376, 1474, 46, 84.24, 320.00, 2805, 3165, 0x0000000000000000, [N/A], [N/A], None, NVIDIA GeForce RTX 4080 SUPER`

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

test('a GPU that requires a reset is FAILED', () => {
  expect(gpu(H100.replace(', 100, 11,', ', [GPU requires reset], [GPU requires reset],'))).toMatchObject({
    state: GpuState.GPU_STATE_FAILED,
    stateReason: 'the GPU requires a reset',
    utilization: undefined,
  })
})

test.each(['Reset', 'Reboot', 'Drain P2P', 'Drain and Reset'])('a recovery action "%s" makes a GPU FAILED', (action) => {
  expect(gpu(H100.replace(', None,', `, ${action},`))).toMatchObject({
    state: GpuState.GPU_STATE_FAILED,
    stateReason: `recovery action: ${action}`,
  })
})

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

test.each(['', 'index, uuid, name', '0, 1, 2', H100.slice(0, 60), H100.replace(UUID, 'GPU-'), `x${H100}`, 'NVML library version: 610.43'])(
  'noise: %s',
  (line) => {
    expect(parseSmiLine(line, FULL_QUERY)).toEqual({ kind: 'noise' })
  },
)

test('no mutation of a row makes the parser throw, leave the ranges, or read an unknown cell as zero', () => {
  const random = mulberry32(20_260_714)
  let rows = 0
  for (let round = 0; round < 20_000; round++) {
    const line = mutate([H100, MIG, CONSUMER][round % 3] ?? '', random)
    const parsed = parseSmiLine(line, FULL_QUERY)
    if (parsed.kind !== 'gpu') continue
    rows++
    const cells = line
      .trim()
      .split(',')
      .map((cell) => cell.trim())
    const at = (name: string): string => cells[FULL_QUERY.findIndex((one) => one.name === name)] ?? ''
    const { utilization, memoryUtilization, memoryTotalBytes, memoryUsedBytes, eccUncorrected, throttleReasons } = parsed.gpu
    for (const share of [utilization, memoryUtilization]) expect(share === undefined || (share >= 0 && share <= 1)).toBe(true)
    for (const [value, cell] of [
      [utilization, at('utilization.gpu')],
      [memoryUtilization, at('utilization.memory')],
      [memoryTotalBytes, at('memory.total')],
      [memoryUsedBytes, at('memory.used')],
      [eccUncorrected, at('ecc.errors.uncorrected.volatile.total')],
      [throttleReasons, at('clocks_event_reasons.active')],
    ] as const)
      if (value !== undefined && Number(value) === 0) expect(cell).toMatch(/^-?(0x)?0+(\.0+)?$/i)
  }
  expect(rows).toBeGreaterThan(1_000)
})

function mutate(line: string, random: () => number): string {
  const bytes = Buffer.from(line)
  const count = 1 + Math.floor(random() * 4)
  let out = bytes
  for (let i = 0; i < count; i++) {
    const at = Math.floor(random() * out.length)
    const dice = random()
    if (dice < 0.5) out[at] = Math.floor(random() * 256)
    else if (dice < 0.75) out = Buffer.concat([out.subarray(0, at), out.subarray(at + 1 + Math.floor(random() * 3))])
    else
      out = Buffer.concat([
        out.subarray(0, at),
        Buffer.from([', ', '[', ']', '0', '-', '.'][Math.floor(random() * 6)] ?? ''),
        out.subarray(at),
      ])
  }
  return out.toString('latin1')
}

function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}
