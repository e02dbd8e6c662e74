import { expect, test } from 'vitest'
import { GpuBinding, GpuTelemetry } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { gpu } from '../testing/reports.ts'
import { gpuShare } from './gpu-share.ts'

const { GPU_TELEMETRY_OK: OK, GPU_TELEMETRY_FAILED: BLIND, GPU_TELEMETRY_NO_GPU: NONE } = GpuTelemetry
const A = gpu('GPU-a')
const B = gpu('GPU-b')
const BROKEN = gpu('GPU-b', 'failed')

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
  const gpus = new Map(rows.map((row) => [row.uuid, row]))
  expect(gpuShare({ gpuUuids, gpuBinding: GpuBinding.GPU_BINDING_FLAG }, { gpus, gpuTelemetry })).toMatchObject({ total, usable })
})

test('an endpoint bound to all GPUs of its host uses those that the host lists', () => {
  const node = { gpus: new Map([A, BROKEN].map((row) => [row.uuid, row])), gpuTelemetry: OK }
  expect(gpuShare({ gpuUuids: [], gpuBinding: GpuBinding.GPU_BINDING_ALL }, node)).toEqual({
    total: 2,
    usable: 1,
    reason: 'GPU-b: fallen off the bus',
  })
})
