import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { parseSmiLine } from '../../agents/gpu/parse-line.ts'
import { FULL_QUERY } from '../../agents/gpu/query.ts'
import { type GpuReport, GpuState } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { headerLine, readQuestion, refusedField, rowLine } from './answer.ts'
import { type CaptureName, FILES, readCapture } from './captures.ts'
import { findScene, SCENES } from './scenes.ts'

const LAUNCHER = fileURLToPath(new URL('./nvidia-smi', import.meta.url))
const FIELDS = FULL_QUERY.map(({ name }) => name)
const MIB = 1_048_576n

/** What the agent reads out of a capture. */
const read = (name: CaptureName, seed = 'node-1'): GpuReport[] =>
  readCapture(name, seed).gpus.map((gpu) => {
    const line = parseSmiLine(rowLine(FIELDS, gpu, false, ''), FULL_QUERY)
    if (line.kind !== 'gpu') throw new Error(`${name}: ${line.kind}`)
    return line.gpu
  })

test.each<[CaptureName, number, Partial<GpuReport>]>([
  [
    'h100',
    1,
    { name: 'NVIDIA H100 80GB HBM3', utilization: 1, memoryUtilization: 0.11, memoryUsedBytes: 19_818n * MIB, powerDrawWatts: 631.95 },
  ],
  ['h100-idle', 1, { utilization: 0, memoryUsedBytes: 0n, throttleReasons: 1n, recoveryAction: 'None', migEnabled: false }],
  ['h100-mig', 1, { utilization: undefined, memoryUtilization: undefined, migEnabled: true, memoryUsedBytes: 11_125n * MIB }],
  ['h100-mig-idle', 1, { utilization: undefined, migEnabled: true }],
  ['h200', 1, { name: 'NVIDIA H200', memoryTotalBytes: 143_771n * MIB, eccUncorrected: 0n }],
  ['l40s', 1, { name: 'NVIDIA L40S', utilization: 0.09, migEnabled: undefined }],
  ['rtx-4080-super', 1, { eccUncorrected: undefined, migEnabled: undefined, temperatureCelsius: 46 }],
  ['rtx-4080-super-idle', 1, { utilization: 0, memoryUtilization: 0.23 }],
  ['h100x8', 8, { driverVersion: '565.57.01', recoveryAction: undefined, throttleReasons: undefined, powerDrawWatts: 100.89 }],
])('the agent reads what %s shows', (name, count, expected) => {
  const gpus = read(name)
  expect(gpus).toHaveLength(count)
  const [first] = gpus
  for (const [field, value] of Object.entries(expected)) expect([field, first?.[field as keyof GpuReport]]).toEqual([field, value])
  expect(gpus.every(({ state }) => state === GpuState.GPU_STATE_OK)).toBe(true)
})

test('two simulated hosts share no GPU, and a host keeps its own', () => {
  const uuids = (seed: string): string[] => read('h100x8', seed).map(({ uuid }) => uuid)
  expect(new Set([...uuids('node-1'), ...uuids('node-2')]).size).toBe(16)
  expect(uuids('node-1')).toEqual(uuids('node-1'))
})

test('every scene can be found by its name, and no other', () => {
  expect(SCENES.filter((name) => findScene(name, 's') === undefined)).toEqual([])
  expect(SCENES).toEqual(expect.arrayContaining(Object.keys(FILES)))
  expect(findScene('toString', 's')).toBeUndefined()
})

test('the header names columns as the program does, not as they were asked for', () => {
  expect(headerLine(['index', 'memory.total', 'clocks_throttle_reasons.active'], readCapture('h100', 's').titles)).toBe(
    'index, memory.total [MiB], clocks_event_reasons.active',
  )
})

test('an old driver refuses the first field that it does not know', () => {
  const scene = findScene('old-driver', 's')
  expect(scene?.kind === 'host' && refusedField(FIELDS, scene)).toBe('clocks_event_reasons.active')
})

test.each([
  [['--query-gpu=index'], '"--format=" switch is missing'],
  [['--query-gpu=index', '--format=csv', '-lms'], 'Option "-lms" is missing its value.'],
  [['dmon'], 'does not know "dmon"'],
])('%j is unclear', (argv, words) => {
  expect(readQuestion(argv)).toMatchObject({ kind: 'unclear', words: expect.stringContaining(words) })
})

const run = (capture: string, ...argv: string[]) =>
  spawnSync(LAUNCHER, argv, {
    encoding: 'utf8',
    env: { ...process.env, MILLRACE_NODE_BIN: process.execPath, MILLRACE_SIM_CAPTURE: capture, MILLRACE_SIM_GPU_SEED: 'node-1' },
  })

test('the program prints units and a header unless told not to, and says on stderr that it is simulated', () => {
  const shown = run('h100', '--query-gpu=index,utilization.gpu,memory.used', '--format=csv')
  expect(shown.stdout).toBe('index, utilization.gpu [%], memory.used [MiB]\n0, 100 %, 19818 MiB\n')
  expect(shown.stderr).toMatch(/^nvidia-smi: simulated/)
  expect(run('h100', '--query-gpu=index,utilization.gpu,memory.used', '--format=csv,noheader,nounits').stdout).toBe('0, 100, 19818\n')
  expect(run('h200', '-L').stdout).toMatch(/^GPU 0: NVIDIA H200 \(UUID: GPU-[0-9a-f-]{36}\)\n$/)
})

test.each([
  ['h100', ['--query-gpu=index,cuda_version', '--format=csv'], 2, 'Field "cuda_version" is not a valid field to query.'],
  ['driver-down', ['-L'], 9, "couldn't communicate with the NVIDIA driver"],
  ['version-mismatch', ['-L'], 18, 'Driver/library version mismatch'],
  ['no-devices', ['-L'], 6, 'No devices were found'],
])('%s %j ends with the exit code and the words of the real one, on stdout', (capture, argv, code, words) => {
  const { status, stdout } = run(capture, ...argv)
  expect([status, stdout]).toEqual([code, expect.stringContaining(words)])
})

test('a capture that does not exist is refused with the names of those that do', () => {
  const { status, stderr } = run('h900', '-L')
  expect([status, stderr]).toEqual([64, expect.stringContaining('MILLRACE_SIM_CAPTURE "h900" is none of h100, ')])
})
