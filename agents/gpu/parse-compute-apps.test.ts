/** What no capture shows. The captures themselves are read in test/smi-captures.test.ts. */
import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { parseComputeApps } from './parse-compute-apps.ts'

const HEADER = 'gpu_uuid, pid, used_gpu_memory [MiB], process_name'
const GPU = 'GPU-b42dd28e-ffdd-8720-1df0-98bd8cdc05b1'
const read = (...rows: string[]) => parseComputeApps([HEADER, ...rows, ''].join('\n'))

test('a process may have commas in its name, with or without units behind it', () => {
  expect(read(`${GPU}, 7, 512, python3 a,b, c.py`, `${GPU}, 8, 512 MiB, x`)).toEqual([
    { gpuUuid: GPU, pid: 7, processName: 'python3 a,b, c.py', usedMemoryBytes: 512n * 1_048_576n },
    { gpuUuid: GPU, pid: 8, processName: 'x', usedMemoryBytes: 512n * 1_048_576n },
  ])
})

test('a memory that nobody knows is unknown, and a process without a name keeps its pid', () => {
  expect(read(`${GPU}, 7, [N/A], [Not Found]`)).toEqual([{ gpuUuid: GPU, pid: 7, processName: '', usedMemoryBytes: undefined }])
})

test('no process is an answer, no header is none', () => {
  expect(read()).toEqual([])
  for (const text of ['', 'No devices were found', 'Failed to initialize NVML: Unknown Error', `${GPU}, 7, 1, x`])
    expect(parseComputeApps(text)).toBeUndefined()
})

test.each([
  'GPU-1, x, 1, a',
  `${GPU}, 0, 1, a`,
  `${GPU}, -7, 1, a`,
  `${GPU}, 11,27, [N/A], a`,
  `${GPU}, 7`,
  'Unable to determine the device handle for GPU0: 0000:24:00.0: GPU is lost.',
])('passed over: %s', (row) => {
  expect(read(row)).toEqual([])
})

test('more processes than a host may have are left out', () => {
  expect(read(...Array.from({ length: limits.computeAppsMax + 5 }, (_, pid) => `${GPU}, ${pid + 1}, 1, x`))).toHaveLength(
    limits.computeAppsMax,
  )
})
