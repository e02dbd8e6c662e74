import { expect, test } from 'vitest'
import { DESCRIPTORS } from './descriptors.gen.ts'
import { splitDescriptorSet } from './reflection.ts'

test('the descriptors hold every contract file, and splitting loses no byte', () => {
  const sets = DESCRIPTORS.map((set) => Buffer.from(set, 'base64'))
  const text = sets.flatMap(splitDescriptorSet).map((file) => file.toString('latin1'))
  for (const name of [
    'millrace/mesh/v1/mesh.proto',
    'millrace/admin/v1/admin.proto',
    'inference/grpc_service.proto',
    'grpc/health/v1/health.proto',
    'grpc/reflection/v1/reflection.proto',
  ])
    expect(
      text.some((file) => file.slice(0, 64).includes(name)),
      name,
    ).toBe(true)
})

test('a set that is cut off, or holds something else, is refused', () => {
  expect(() => splitDescriptorSet(Buffer.from([0x0a, 0x05, 1, 2]))).toThrow('ends in the middle')
  expect(() => splitDescriptorSet(Buffer.from([0x12, 0x00]))).toThrow('nothing but files')
})
