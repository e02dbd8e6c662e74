import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { GpuBinding, type GpuReport, GpuTelemetry } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { gpu } from '../testing/reports.ts'
import { stepGpu } from './gpu-record.ts'
import { gpuShare } from './gpu-share.ts'

const { GPU_TELEMETRY_OK: OK, GPU_TELEMETRY_FAILED: BLIND, GPU_TELEMETRY_NO_GPU: NONE } = GpuTelemetry
const A = gpu('GPU-a')
const B = gpu('GPU-b')
const BROKEN = gpu('GPU-b', 'failed')

const seen = (rows: readonly GpuReport[]) => new Map(rows.map((row) => [row.uuid, stepGpu(undefined, row, millis(0))]))
const share = (gpuUuids: string[], rows: readonly GpuReport[], gpuTelemetry: GpuTelemetry = OK, atMs = 0) =>
  gpuShare({ gpuUuids, gpuBinding: GpuBinding.GPU_BINDING_FLAG }, { gpus: seen(rows), gpuTelemetry }, millis(atMs))

test.each([
  ['its own GPUs work', ['GPU-a', 'GPU-b'], [A, B], OK, 2, 2],
  ['one of two is broken', ['GPU-a', 'GPU-b'], [A, BROKEN], OK, 2, 1],
  ['a broken neighbour is not its own', ['GPU-a'], [A, BROKEN], OK, 1, 1],
  ['one is not on the node any more', ['GPU-a', 'GPU-c'], [A, B], OK, 2, 1],
  ['what cannot be seen is not lost', ['GPU-a', 'GPU-c'], [], BLIND, 2, 2],
  ['a broken one stays broken when the rest cannot be seen', ['GPU-b', 'GPU-c'], [BROKEN], BLIND, 2, 1],
  ['a MIG instance is no row of the table', ['MIG-1'], [A], OK, 1, 1],
  ['a host without GPU', [], [], NONE, 0, 0],
  ['the same GPU named twice is one', ['GPU-a', 'GPU-a'], [A], OK, 1, 1],
])('%s', (_name, gpuUuids, rows, gpuTelemetry, total, usable) => {
  expect(share(gpuUuids, rows, gpuTelemetry)).toMatchObject({ total, usable })
})

test('an endpoint bound to all GPUs of its host uses those that the host lists', () => {
  const node = { gpus: seen([A, BROKEN]), gpuTelemetry: OK }
  expect(gpuShare({ gpuUuids: [], gpuBinding: GpuBinding.GPU_BINDING_ALL }, node, millis(0))).toEqual({
    total: 2,
    usable: 1,
    factor: 1,
    reason: 'GPU-b: fallen off the bus',
    leaving: undefined,
    asksRecovery: false,
  })
})

test('the speed is that of the GPUs that are left', () => {
  const slow = gpu('GPU-b', 'ok', { throttleReasons: 0x20n })
  expect(share(['GPU-a', 'GPU-b'], [A, slow])).toMatchObject({ usable: 2, factor: 0.85, reason: 'GPU-b: slowed down', leaving: undefined })
})

test('a GPU that asks to be drained takes its whole endpoint along; one that is hot only when it is the last', () => {
  const drains = gpu('GPU-b', 'failed', { recoveryAction: 'Drain and Reset', stateReason: '' })
  expect(share(['GPU-a', 'GPU-b'], [A, drains]).leaving).toEqual({ firm: true, reason: 'GPU-b: recovery action: Drain and Reset' })
  const hot = (uuid: string) => gpu(uuid, 'ok', { throttleReasons: 0x40n })
  expect(share(['GPU-a', 'GPU-b'], [A, hot('GPU-b')], OK, limits.throttleDrain).leaving).toBeUndefined()
  expect(share(['GPU-a', 'GPU-b'], [hot('GPU-a'), hot('GPU-b')], OK, limits.throttleDrain - 1).leaving).toBeUndefined()
  expect(share(['GPU-a', 'GPU-b'], [hot('GPU-a'), hot('GPU-b')], OK, limits.throttleDrain).leaving?.firm).toBe(false)
  expect(share(['GPU-a', 'GPU-b'], [gpu('GPU-a', 'failed'), hot('GPU-b')], OK, limits.throttleDrain).leaving?.firm).toBe(false)
})

test('a MIG instance shares the lot of its GPU', () => {
  const instance = { uuid: 'MIG-1', index: 0, gpuInstanceId: 1, computeInstanceId: 0, memoryTotalBytes: 1n, memoryUsedBytes: 0n }
  const parent = gpu('GPU-b', 'failed', { migInstances: [instance] })
  expect(share(['MIG-1'], [A, parent])).toMatchObject({ total: 1, usable: 0, reason: 'MIG-1: fallen off the bus' })
})
