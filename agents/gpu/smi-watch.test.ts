import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { GpuState, GpuTelemetry } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import type { GpuDetails } from './read-details.ts'
import { FRESH_WATCH, gpusOf, rowsCome, type SmiEvent, type SmiWatch, shouldEnd, shouldStart, stepWatch, telemetryOf } from './smi-watch.ts'

const row = (index: number, { utilization = '50', action = 'None' } = {}): string =>
  `${index}, GPU-0000000${index}, 590.48.01, ${utilization}, 11, 81559, 19818, 59, 631.95, 700.00, 1980, 1980, 0x0000000000000000, 0, 0, No, Disabled, ${action}, P0, 00000000:0${index}:00.0, NVIDIA H100 80GB HBM3`
const line = (text: string): SmiEvent => ({ kind: 'line', text })
const rows = (...indexes: number[]): SmiEvent[] => indexes.map((index) => line(row(index)))
const lost = (index: number): SmiEvent => line(`Unable to determine the device handle for GPU${index}: 0000:0${index}:00.0: GPU is lost.`)
const started: SmiEvent = { kind: 'started' }
const exited: SmiEvent = { kind: 'exited', detail: 'code 9' }
const tick: SmiEvent = { kind: 'tick' }

function play(watch: SmiWatch, now: number, ...events: SmiEvent[]): SmiWatch {
  return events.reduce((before, event) => stepWatch(before, event, millis(now)), watch)
}
const states = (watch: SmiWatch): Record<string, string> =>
  Object.fromEntries(
    gpusOf(watch).map((gpu) => [gpu.uuid, `${['?', 'ok', 'failed'][gpu.state]} ${gpu.utilization ?? '-'} ${gpu.stateReason}`.trim()]),
  )

test('a lost GPU among good rows is FAILED and the others keep their values', () => {
  const before = play(FRESH_WATCH, 0, started, ...rows(0, 1, 2))
  const after = play(before, 250, ...rows(0), lost(1), ...rows(2))
  expect(states(after)).toEqual({ 'GPU-00000000': 'ok 0.5', 'GPU-00000001': 'failed - GPU is lost.', 'GPU-00000002': 'ok 0.5' })
  expect(gpusOf(after)[1]).toMatchObject({ name: 'NVIDIA H100 80GB HBM3', pciBusId: '00000000:01:00.0' })
  expect(gpusOf(after)[1]?.memoryUsedBytes).toBeUndefined()
  expect(telemetryOf(after).gpuTelemetry).toBe(GpuTelemetry.GPU_TELEMETRY_OK)
})

test('a lost GPU stays FAILED block after block, and its own row alone brings it back', () => {
  let watch = play(FRESH_WATCH, 0, started, ...rows(0, 1))
  for (const at of [250, 500, 750]) {
    watch = play(watch, at, lost(1), ...rows(0))
    expect(states(watch)['GPU-00000001']).toBe('failed - GPU is lost.')
  }
  expect(states(play(watch, 1_000, ...rows(0, 1)))['GPU-00000001']).toBe('ok 0.5')
})

test('a GPU that is missing from a whole block is lost', () => {
  const watch = play(FRESH_WATCH, 0, started, ...rows(0, 1, 2), ...rows(0, 2))
  expect(states(watch)['GPU-00000001']).toBe('ok 0.5')
  expect(states(play(watch, 500, ...rows(0)))).toEqual({
    'GPU-00000000': 'ok 0.5',
    'GPU-00000001': 'failed - nvidia-smi no longer lists this GPU',
    'GPU-00000002': 'ok 0.5',
  })
})

test('half a block before an end and half a block after a start lose no GPU', () => {
  const watch = play(FRESH_WATCH, 0, started, ...rows(0, 1, 2), ...rows(0), exited, started, ...rows(0, 1, 2, 0))
  expect(Object.values(states(watch))).toEqual(['ok 0.5', 'ok 0.5', 'ok 0.5'])
})

test('a GPU that was lost before it was ever seen goes by its place, until its row comes', () => {
  const watch = play(FRESH_WATCH, 0, started, lost(1), ...rows(0))
  expect(states(watch)).toEqual({ 'pci-00000000:01:00.0': 'failed - GPU is lost.', 'GPU-00000000': 'ok 0.5' })
  expect(Object.keys(states(play(watch, 250, ...rows(0, 1))))).toEqual(['GPU-00000000', 'GPU-00000001'])
})

test('a host without nvidia-smi has no GPU and no failure, and is asked again ever more seldom', () => {
  let watch = FRESH_WATCH
  const pauses: number[] = []
  for (let now = 0; pauses.length < 8; ) {
    expect(shouldStart(watch, millis(now))).toBe(true)
    watch = play(watch, now, started, { kind: 'not-found', program: 'nvidia-smi' })
    expect(telemetryOf(watch)).toEqual({
      gpuTelemetry: GpuTelemetry.GPU_TELEMETRY_NO_GPU,
      gpuTelemetryReason: 'nvidia-smi is not on this host',
    })
    const at: number = watch.run.state === 'waiting' ? watch.run.startAt : -1
    pauses.push(at - now)
    now = at
  }
  expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
})

test.each([
  ['No devices were found', GpuTelemetry.GPU_TELEMETRY_NO_GPU],
  ["NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", GpuTelemetry.GPU_TELEMETRY_FAILED],
  ['Failed to initialize NVML: Driver/library version mismatch', GpuTelemetry.GPU_TELEMETRY_FAILED],
])('%s', (text, expected) => {
  const watch = play(FRESH_WATCH, 0, started, line(text), exited)
  expect(telemetryOf(watch)).toMatchObject({ gpuTelemetry: expected, gpuTelemetryReason: expect.not.stringContaining('code 9') })
})

test('a host that loses its last GPU has failed, though it looks like one that never had any', () => {
  const watch = play(FRESH_WATCH, 0, started, ...rows(0), exited, started, line('No devices were found'), exited)
  expect(telemetryOf(watch).gpuTelemetry).toBe(GpuTelemetry.GPU_TELEMETRY_FAILED)
  expect(gpusOf(watch)[0]?.state).toBe(GpuState.GPU_STATE_FAILED)
})

test('an end that no line explains is told with its exit code', () => {
  const installed = play(FRESH_WATCH, 0, started, { kind: 'not-found', program: 'nvidia-smi' })
  for (const before of [FRESH_WATCH, installed])
    expect(telemetryOf(play(before, 0, started, exited)).gpuTelemetryReason).toBe('nvidia-smi ended: code 9')
})

test('a hung nvidia-smi is told to end, its values are dropped, and no other is started before it is gone', () => {
  const telling = play(FRESH_WATCH, 0, started, ...rows(0))
  const patient = play(telling, limits.smiSilenceMax - 1, tick)
  expect(shouldEnd(patient)).toBe(false)
  const hung = play(patient, limits.smiSilenceMax, tick)
  expect(shouldEnd(hung)).toBe(true)
  expect(telemetryOf(hung)).toEqual({
    gpuTelemetry: GpuTelemetry.GPU_TELEMETRY_FAILED,
    gpuTelemetryReason: 'nvidia-smi has been silent for 5 s',
  })
  expect(states(hung)).toEqual({ 'GPU-00000000': '? -' })
  expect(shouldStart(play(hung, 3_600_000, tick), millis(3_600_000))).toBe(false)
  const gone = play(hung, 3_600_000, exited)
  expect(shouldStart(gone, millis(3_600_000 + limits.smiRestartFirst))).toBe(true)
})

test('a slow first answer is told of but waited for', () => {
  const slow = play(FRESH_WATCH, 0, started)
  expect(telemetryOf(play(slow, 1_000, tick)).gpuTelemetry).toBe(GpuTelemetry.GPU_TELEMETRY_UNSPECIFIED)
  const waiting = play(slow, limits.smiSilenceMax, tick)
  expect([telemetryOf(waiting).gpuTelemetry, shouldEnd(waiting)]).toEqual([GpuTelemetry.GPU_TELEMETRY_FAILED, false])
  expect(shouldEnd(play(waiting, limits.smiStartMax, tick))).toBe(true)
})

test('a run that ends and starts again within the silence limit is no news', () => {
  const watch = play(FRESH_WATCH, 0, started, ...rows(0), exited)
  expect(states(watch)).toEqual({ 'GPU-00000000': 'ok 0.5' })
  expect(shouldStart(watch, limits.smiRestartFirst)).toBe(true)
  expect(telemetryOf(play(watch, limits.smiSilenceMax, tick)).gpuTelemetry).toBe(GpuTelemetry.GPU_TELEMETRY_FAILED)
})

test('a refused field is left out of the next run, which starts at once', () => {
  const watch = play(FRESH_WATCH, 7, started, line('Field "gpu_recovery_action" is not a valid field to query.'), exited)
  expect(shouldStart(watch, millis(7))).toBe(true)
  expect(watch.query.map(({ name }) => name)).not.toContain('gpu_recovery_action')
  expect(telemetryOf(watch).gpuTelemetry).toBe(GpuTelemetry.GPU_TELEMETRY_UNSPECIFIED)
})

test('more GPUs than a node may have are left out', () => {
  const many = Array.from({ length: 100 }, (_, index) =>
    line(row(0).replace('0, GPU-00000000', `${index}, GPU-${String(index).padStart(8, '1')}`)),
  )
  expect(gpusOf(play(FRESH_WATCH, 0, started, ...many))).toHaveLength(limits.gpusPerNodeMax)
})

const details = (at: number, ...told: readonly [number, Partial<GpuDetails>][]): SmiEvent => ({
  kind: 'details',
  askedAt: millis(at),
  details: new Map(told.map(([index, facts]) => [`GPU-0000000${index}`, { migInstances: [], ...facts }])),
})
const silentRow = (index: number): SmiEvent => line(row(index, { action: '[N/A]' }))

test('a recovery action that only the XML tells fails its GPU, until the XML tells otherwise', () => {
  const sick = play(FRESH_WATCH, 0, started, silentRow(0), silentRow(1), details(0, [1, { recoveryAction: 'Reset' }]))
  expect(states(sick)).toEqual({ 'GPU-00000000': 'ok 0.5', 'GPU-00000001': 'failed 0.5 recovery action: Reset' })
  let old = sick
  for (let at = 0; at <= 2 * limits.smiDetailsAgeMax; at += 1_000) old = play(old, at, silentRow(0), silentRow(1), tick)
  expect(states(old)['GPU-00000001']).toBe('failed 0.5 recovery action: Reset')
  expect(states(play(old, 0, details(300_000, [1, { recoveryAction: 'None' }])))['GPU-00000001']).toBe('ok 0.5')
})

test('what the XML measured is dropped when it is too old', () => {
  let watch = play(FRESH_WATCH, 0, started, silentRow(0), details(0, [0, { eccCorrected: 4n, recoveryAction: 'None' }]))
  // The row knows the count as well, and is the younger one.
  expect(gpusOf(watch)[0]?.eccCorrected).toBe(0n)
  expect(gpusOf(watch)[0]?.recoveryAction).toBe('None')
  for (let at = 0; at <= limits.smiDetailsAgeMax; at += 1_000) watch = play(watch, at, silentRow(0), tick)
  expect(gpusOf(watch)[0]?.recoveryAction).toBeUndefined()
})

test('of a lost GPU the XML of before tells nothing', () => {
  const watch = play(FRESH_WATCH, 0, started, ...rows(0, 1), details(0, [1, { remapPending: true }]), lost(1))
  expect(gpusOf(watch)[1]?.remapPending).toBeUndefined()
  expect(states(watch)['GPU-00000001']).toBe('failed - GPU is lost.')
})

test('others may ask the driver only while rows come', () => {
  const telling = play(FRESH_WATCH, 0, started, ...rows(0))
  const at = (watch: SmiWatch, now: number): boolean => rowsCome(watch, millis(now))
  expect([at(FRESH_WATCH, 0), at(play(FRESH_WATCH, 0, started), 0), at(telling, 0)]).toEqual([false, false, true])
  expect([at(telling, limits.smiFreshMax - 1), at(telling, limits.smiFreshMax)]).toEqual([true, false])
  expect(at(play(telling, 0, exited, started), 0)).toBe(true)
  expect(at(play(telling, limits.smiSilenceMax, tick), limits.smiSilenceMax)).toBe(false)
})
