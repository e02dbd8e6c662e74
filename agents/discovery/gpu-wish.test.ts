import { expect, test } from 'vitest'
import { GpuBinding } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { bindGpus } from './gpu-wish.ts'

const { GPU_BINDING_ALL, GPU_BINDING_FLAG, GPU_BINDING_PROCESS } = GpuBinding
const gpus = [
  { uuid: 'GPU-a', index: 0 },
  { uuid: 'GPU-b', index: 1 },
  { uuid: 'GPU-lost', index: undefined },
]

test.each([
  ['nothing said', undefined, ['GPU-a', 'GPU-b', 'GPU-lost'], GPU_BINDING_ALL],
  ['uuids, known or not', ['GPU-b', 'GPU-x'], ['GPU-b', 'GPU-x'], GPU_BINDING_FLAG],
  ['numbers', ['1', '0'], ['GPU-b', 'GPU-a'], GPU_BINDING_FLAG],
  ['a number that no GPU has', ['7'], [], GPU_BINDING_FLAG],
  ['one GPU twice', ['0', 'GPU-a'], ['GPU-a'], GPU_BINDING_FLAG],
])('GPUs of an endpoint: %s', (_, wish, gpuUuids, gpuBinding) => {
  expect(bindGpus(wish, undefined, gpus)).toEqual({ gpuUuids, gpuBinding })
})

test('what its processes use counts where nothing was said, and only there', () => {
  expect(bindGpus(undefined, ['GPU-b'], gpus)).toEqual({ gpuUuids: ['GPU-b'], gpuBinding: GPU_BINDING_PROCESS })
  expect(bindGpus(['0'], ['GPU-b'], gpus)).toEqual({ gpuUuids: ['GPU-a'], gpuBinding: GPU_BINDING_FLAG })
})
