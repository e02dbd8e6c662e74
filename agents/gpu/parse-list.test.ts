import { expect, test } from 'vitest'
import { parseList } from './parse-list.ts'

test('an instance belongs to the GPU above it, in names old and new', () => {
  const text = [
    'GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)',
    '  MIG 1g.5gb Device 0: (UUID: MIG-GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77/7/0)',
    'GPU 1: NVIDIA H100, 80 GB (x) (UUID: GPU-c6d4f1ef-42e4-7de3-91c7-45d71c87eb3f)',
    '  MIG 1c.3g.40gb  Device  3: (UUID: MIG-c7384736-a75d-5afc-978f-d2f1294409fd)',
  ].join('\n')
  expect(parseList(text)).toEqual([
    { gpuUuid: 'GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77', index: 0, uuid: 'MIG-GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77/7/0' },
    { gpuUuid: 'GPU-c6d4f1ef-42e4-7de3-91c7-45d71c87eb3f', index: 3, uuid: 'MIG-c7384736-a75d-5afc-978f-d2f1294409fd' },
  ])
})

test('an instance below the news of a lost GPU is not given to the GPU before', () => {
  const text = [
    'GPU 0: NVIDIA H100 (UUID: GPU-c6d4f1ef-42e4-7de3-91c7-45d71c87eb3f)',
    'Unable to determine the device handle for GPU1: 0000:34:00.0: Unknown Error',
    '  MIG 1g.10gb     Device  0: (UUID: MIG-c7384736-a75d-5afc-978f-d2f1294409fd)',
  ].join('\n')
  expect(parseList(text)).toEqual([])
})

test.each([
  ['GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-0000-0000-0000-000000000000)'],
  ['GPU 0: NVIDIA GeForce RTX 2080 SUPER (UUID: GPU-00000000-0000-0000-0000-000000000000)\r'],
  ['No devices were found'],
  [''],
])('no instance in %j', (text) => {
  expect(parseList(`${text}\n`)).toEqual([])
})
