import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { parseComputeApps } from '../../agents/gpu/parse-compute-apps.ts'
import { parseSmiLine } from '../../agents/gpu/parse-line.ts'
import { parseList } from '../../agents/gpu/parse-list.ts'
import { FULL_QUERY } from '../../agents/gpu/query.ts'
import { readDetails } from '../../agents/gpu/read-details.ts'
import { parseLog } from '../../agents/wire/parse-xml.ts'
import { type GpuReport, GpuState } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { headerLine, listLines, readQuestion, refusedField, rowLine } from './answer.ts'
import { type CaptureName, FILES, readCapture } from './captures.ts'
import { findScene, SCENES } from './scenes.ts'
import { openStage } from './stage.ts'
import { xmlText } from './xml.ts'

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
  expect(scene && refusedField(FIELDS, scene)).toBe('clocks_event_reasons.active')
})

test.each([
  [['--query-gpu=index'], '"--format=" switch is missing'],
  [['--query-gpu=index', '--format=csv', '-lms'], 'Option "-lms" is missing its value.'],
  [['dmon'], 'does not know "dmon"'],
])('%j is unclear', (argv, words) => {
  expect(readQuestion(argv)).toMatchObject({ kind: 'unclear', words: expect.stringContaining(words) })
})

/** The second GPU of a scene, as the agent reads its row and its XML, so many rounds after it began. */
function second(name: string, at: number) {
  const scene = findScene(name, 'node-1')
  const round = scene?.round(at)
  if (scene === undefined || round?.kind !== 'rows') throw new Error(`${name} shows no rows`)
  const line = parseSmiLine(rowLine(FIELDS, round.gpus[1] ?? {}, false, ''), FULL_QUERY)
  const log = parseLog(xmlText(round.gpus, scene))
  if (line.kind !== 'gpu' || log === undefined) throw new Error(`${name}: ${line.kind}`)
  return { row: line.gpu, xml: readDetails(log).get(line.gpu.uuid) }
}

test.each<[string, number, Partial<GpuReport>, Partial<GpuReport>]>([
  ['healthy', 9, { eccUncorrected: 0n, throttleReasons: 1n, recoveryAction: 'None' }, { recoveryAction: 'None', eccUncorrected: 0n }],
  ['gpu-reset', 9, { utilization: undefined, state: GpuState.GPU_STATE_FAILED }, { recoveryAction: 'None' }],
  ['err-cells', 9, { utilization: undefined, temperatureCelsius: undefined, state: GpuState.GPU_STATE_OK }, {}],
  ['recovery-action', 2, { recoveryAction: 'None' }, { recoveryAction: 'None' }],
  ['recovery-action', 3, { recoveryAction: 'Drain and Reset', state: GpuState.GPU_STATE_FAILED }, { recoveryAction: 'Drain and Reset' }],
  ['old-driver-reset', 3, {}, { recoveryAction: 'Reset' }],
  ['remap-pending', 3, { remapPending: true }, { remapPending: true }],
  ['ecc-growth', 3, { eccCorrected: 10n, eccUncorrected: 1n }, { eccCorrected: 10n, eccUncorrected: 1n }],
  ['ecc-growth', 12, { eccCorrected: 100n, eccUncorrected: 10n }, { eccCorrected: 100n, eccUncorrected: 10n }],
  ['throttle-thermal', 3, { throttleReasons: 0x68n, temperatureCelsius: 93 }, {}],
  ['throttle-power-brake', 3, { throttleReasons: 0x88n, temperatureCelsius: 30 }, {}],
])('%s, round %i: the second GPU, by its row and by the XML', (name, at, row, xml) => {
  const shown = second(name, at)
  expect(shown.row).toMatchObject(row)
  expect(shown.xml).toMatchObject(xml)
})

test('under MIG the XML tells of the slices, and the list of their names', () => {
  const scene = findScene('h100-mig', 'node-1')
  const round = scene?.round(0)
  if (scene === undefined || round?.kind !== 'rows') throw new Error('no rows')
  const log = parseLog(xmlText(round.gpus, scene))
  const [details] = log === undefined ? [] : readDetails(log).values()
  expect(details?.migInstances.map(({ gpuInstanceId, memoryUsedBytes }) => [gpuInstanceId, Number((memoryUsedBytes ?? 0n) / MIB)])).toEqual(
    [
      [2, 11_091],
      [3, 17],
      [9, 9],
      [10, 9],
    ],
  )
  expect(new Set(parseList(listLines(round.gpus, scene.instances).join('\n')).map(({ uuid }) => uuid)).size).toBe(4)
})

test('a scene that is written to the file is shown from its first round on, and a file that is torn changes nothing', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-scene-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'scene')
  const write = (name: string, at: number): void => {
    writeFileSync(file, name)
    utimesSync(file, at / 1_000, at / 1_000)
  }
  let now = 1_000_000
  const stage = openStage({ MILLRACE_SIM_CAPTURE: 'h100', MILLRACE_SIM_SCENE_FILE: file }, () => now)
  const shown = (): number | string => {
    const { round } = stage.next()
    return round.kind === 'rows' ? round.gpus.length : round.kind
  }
  expect([shown(), shown()]).toEqual([1, 1])
  write('gpu-lost\n', now)
  expect(shown()).toBe(8)
  now += 750
  expect(shown()).toBe(7)
  write('', now)
  expect(shown()).toBe(7)
  write('driver-down', now)
  expect(shown()).toBe('fails')
  write('no-such', now)
  expect(shown).toThrow('MILLRACE_SIM_SCENE_FILE "no-such" is none of')
})

function run(capture: string, ...rest: readonly (string | Record<string, string>)[]) {
  const argv = rest.filter((one) => typeof one === 'string')
  const more = Object.assign({}, ...rest.filter((one) => typeof one !== 'string'))
  const env = {
    ...process.env,
    MILLRACE_NODE_BIN: process.execPath,
    MILLRACE_SIM_CAPTURE: capture,
    MILLRACE_SIM_GPU_SEED: 'node-1',
    ...more,
  }
  return spawnSync(LAUNCHER, argv, { encoding: 'utf8', env })
}

test('the program prints units and a header unless told not to, and says on stderr that it is simulated', () => {
  const shown = run('h100', '--query-gpu=index,utilization.gpu,memory.used', '--format=csv')
  expect(shown.stdout).toBe('index, utilization.gpu [%], memory.used [MiB]\n0, 100 %, 19818 MiB\n')
  expect(shown.stderr).toMatch(/^nvidia-smi: simulated/)
  expect(run('h100', '--query-gpu=index,utilization.gpu,memory.used', '--format=csv,noheader,nounits').stdout).toBe('0, 100, 19818\n')
  expect(run('h200', '-L').stdout).toMatch(/^GPU 0: NVIDIA H200 \(UUID: GPU-[0-9a-f-]{36}\)\n$/)
})

test('the program tells of processes, those of the capture or those that a test put there', () => {
  const question = ['--query-compute-apps=gpu_uuid,pid,used_memory,process_name', '--format=csv,nounits']
  const apps = (capture: string) => parseComputeApps(run(capture, ...question).stdout)
  expect(apps('h100')?.map(({ pid, usedMemoryBytes }) => [pid, usedMemoryBytes])).toEqual([
    [11_327, 2_566n * MIB],
    [11_328, 1_542n * MIB],
    [11_345, 15_690n * MIB],
  ])
  expect(apps('h100-idle')).toEqual([])
  const folder = mkdtempSync(join(tmpdir(), 'millrace-apps-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'apps'), '3, 42, 1024, python3\n9, 43, 1, gone\n')
  const { stdout } = run('h100x8', ...question, { MILLRACE_SIM_APPS_FILE: join(folder, 'apps') })
  expect(parseComputeApps(stdout)).toEqual([
    { gpuUuid: read('h100x8')[3]?.uuid, pid: 42, processName: 'python3', usedMemoryBytes: 1_024n * MIB },
  ])
})

test.each([
  ['h100', ['--query-gpu=index,cuda_version', '--format=csv'], 2, 'Field "cuda_version" is not a valid field to query.'],
  ['h100', ['--query-compute-apps=pid,uuid', '--format=csv'], 2, 'Field "uuid" is not a valid field to query.'],
  [
    'corrupt-inforom',
    ['--query-gpu=index', '--format=csv,noheader', '-lms', '9'],
    14,
    '7\nWARNING: infoROM is corrupted at gpu 0000:2A:00.0',
  ],
  ['driver-down', ['-q', '-x'], 9, "couldn't communicate with the NVIDIA driver"],
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
