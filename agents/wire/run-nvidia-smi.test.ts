import { chmodSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { createLog } from '../../core/edge/log.ts'
import { systemClock } from '../../core/edge/system-clock.ts'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { GpuState, GpuTelemetry } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { FULL_QUERY } from '../gpu/query.ts'
import { startBeat } from './beat.ts'
import { runNvidiaSmi } from './run-nvidia-smi.ts'

const SIMULATED = fileURLToPath(new URL('../../sim/nvidia-smi/nvidia-smi', import.meta.url))
const log = createLog('test', 'silent')
const soon = { timeout: 20_000, interval: 20 }

/** Ahead of the real clock. */
let skew = 0
const clock = { now: () => millis(systemClock.now() + skew) }

afterEach(() => {
  vi.unstubAllEnvs()
  skew = 0
})

function run(program: string, capture = 'h100') {
  vi.stubEnv('MILLRACE_SIM_CAPTURE', capture)
  vi.stubEnv('MILLRACE_NODE_BIN', process.execPath)
  let starts = 0
  let changes = 0
  const answers: string[] = []
  const beat = startBeat()
  onTestFinished(() => beat.stop())
  const runner = runNvidiaSmi({
    program,
    clock,
    beat,
    log,
    onChange: () => changes++,
    onStart: () => starts++,
    onAnswer: (question, answered) => answers.push(`${question} ${answered}`),
  })
  onTestFinished(() => runner.close())
  return { runner, starts: () => starts, changes: () => changes, answers }
}

/** A program of a few shell lines, for what the simulated one cannot do. */
function script(...lines: string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-smi-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'nvidia-smi')
  writeFileSync(path, ['#!/bin/sh', ...lines, ''].join('\n'))
  chmodSync(path, 0o755)
  return path
}

test('eight GPUs are read from one long run, each by its own uuid', async () => {
  const { runner, starts } = run(SIMULATED, 'h100x8')
  await vi.waitFor(() => expect(runner.gpus().gpus).toHaveLength(8), soon)
  expect(runner.gpus().gpuTelemetry).toBe(GpuTelemetry.GPU_TELEMETRY_OK)
  expect(new Set(runner.gpus().gpus.map(({ uuid }) => uuid)).size).toBe(8)
  expect(starts()).toBe(1)
})

test('a GPU that gets lost while the others go on is told of', async () => {
  const { runner, changes } = run(SIMULATED, 'gpu-lost')
  await vi.waitFor(() => expect(runner.gpus().gpus[1]?.state).toBe(GpuState.GPU_STATE_FAILED), soon)
  expect(runner.gpus().gpus.filter(({ state }) => state === GpuState.GPU_STATE_OK)).toHaveLength(7)
  expect(changes()).toBeGreaterThan(1)
})

test('a driver that refuses fields is asked again without them, until it answers', async () => {
  const { runner, starts } = run(SIMULATED, 'old-driver')
  await vi.waitFor(() => expect(runner.gpus().gpus).toHaveLength(1), soon)
  expect(runner.gpus().gpus[0]).toMatchObject({ throttleReasons: 0n, utilization: 1, recoveryAction: undefined })
  expect(starts()).toBe(3)
})

test('a program that is not there is no failure', async () => {
  const { runner } = run('/nowhere/nvidia-smi')
  await vi.waitFor(() => expect(runner.gpus().gpuTelemetry).toBe(GpuTelemetry.GPU_TELEMETRY_NO_GPU), soon)
  expect(runner.gpus().gpuTelemetryReason).toBe('/nowhere/nvidia-smi is not on this host')
})

test('a broken driver is told in words', async () => {
  const { runner } = run(SIMULATED, 'driver-down')
  await vi.waitFor(() => expect(runner.gpus().gpuTelemetry).toBe(GpuTelemetry.GPU_TELEMETRY_FAILED), soon)
  expect(runner.gpus().gpuTelemetryReason).toContain('is its kernel module installed and loaded?')
})

test('a program that is not nvidia-smi is told of by its last words', async () => {
  const { runner } = run(script('echo "wrong tool" >&2', 'exit 3'))
  await vi.waitFor(() => expect(runner.gpus().gpuTelemetryReason).toBe('nvidia-smi ended: code 3, its last words: wrong tool'), soon)
})

test('one that hangs and ignores a request to end is stopped all the same, and no second one was started beside it', async () => {
  const { runner, starts } = run(SIMULATED, 'hang')
  await vi.waitFor(() => expect(runner.gpus().gpus).toHaveLength(8), soon)
  skew = limits.smiSilenceMax
  await vi.waitFor(() => expect(runner.gpus().gpuTelemetryReason).toBe('nvidia-smi has been silent for 5 s'), soon)
  expect(runner.gpus().gpus[0]).toMatchObject({ name: 'NVIDIA H100 80GB HBM3', state: GpuState.GPU_STATE_UNSPECIFIED })
  expect(runner.gpus().gpus[0]?.utilization).toBeUndefined()
  expect(starts()).toBe(1)
  skew += limits.smiRestartFirst
  await vi.waitFor(() => expect(runner.gpus().gpuTelemetry).toBe(GpuTelemetry.GPU_TELEMETRY_OK), soon)
  expect(starts()).toBe(2)
})

test('what the rows do not tell is asked for as soon as they come: slices of a GPU, with their names and memory', async () => {
  const { runner, answers } = run(SIMULATED, 'h100-mig')
  await vi.waitFor(() => expect(runner.gpus().gpus[0]?.migInstances).toHaveLength(4), soon)
  expect(runner.gpus().gpus[0]).toMatchObject({ utilization: undefined, migEnabled: true, eccCorrected: 0n, performanceState: 'P0' })
  expect(runner.gpus().gpus[0]?.migInstances[0]).toEqual({
    uuid: expect.stringMatching(/^MIG-[0-9a-f-]{36}$/),
    index: 0,
    gpuInstanceId: 2,
    computeInstanceId: 0,
    memoryTotalBytes: 40_448n * 1_048_576n,
    memoryUsedBytes: 11_091n * 1_048_576n,
  })
  expect(answers).toEqual(['details true'])
})

test('a recovery action of a driver that tells it in XML only fails its GPU', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-scene-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'scene')
  writeFileSync(file, 'old-driver-reset')
  utimesSync(file, 1_000, 1_000)
  vi.stubEnv('MILLRACE_SIM_SCENE_FILE', file)
  const { runner } = run(SIMULATED)
  await vi.waitFor(() => expect(runner.gpus().gpus[1]?.stateReason).toBe('recovery action: Reset'), soon)
  expect(runner.gpus().gpus.map(({ state }) => state === GpuState.GPU_STATE_OK)).toEqual([true, false, ...Array(6).fill(true)])
})

test('a run that ends with a code after each block of rows loses none of them', async () => {
  const { runner, starts } = run(SIMULATED, 'corrupt-inforom')
  await vi.waitFor(() => expect(starts()).toBeGreaterThan(1), soon)
  await vi.waitFor(() => expect(runner.gpus().gpus).toHaveLength(8), soon)
  expect(runner.gpus().gpuTelemetry).toBe(GpuTelemetry.GPU_TELEMETRY_OK)
})

test('who computes on a GPU can be asked while the rows go on', async () => {
  const { runner, answers } = run(SIMULATED)
  await vi.waitFor(async () => expect(await runner.computeApps()).toMatchObject({ kind: 'apps', apps: [{ pid: 11_327 }, {}, {}] }), soon)
  const asked = await runner.computeApps()
  expect(asked.kind === 'apps' && asked.apps[0]?.gpuUuid).toBe(runner.gpus().gpus[0]?.uuid)
  expect(answers).toContain('compute-apps true')
})

test('a program that knows rows but no XML is asked on, and its rows count', async () => {
  const row = FULL_QUERY.map(({ name }) => ({ index: '0', uuid: 'GPU-00000000', 'pci.bus_id': '00000000:01:00.0' })[name] ?? '[N/A]').join(
    ', ',
  )
  const { runner, answers } = run(script('[ "$1" = -q ] && echo no such option && exit 2', `echo "${row}"`, 'exec tail -f /dev/null'))
  await vi.waitFor(() => expect(answers).toEqual(['details false']), soon)
  expect(runner.gpus().gpus).toMatchObject([{ uuid: 'GPU-00000000', state: GpuState.GPU_STATE_OK, eccCorrected: undefined }])
})
