/**
 * Whole outputs of failing runs, word for word as they were seen (see captures/README.md), and what the agent makes of the host: expectations were written
 * by hand from the words, not by running the reader.
 */
import { expect, test } from 'vitest'
import { FULL_QUERY } from '../agents/gpu/query.ts'
import { FRESH_WATCH, gpusOf, type SmiEvent, stepWatch, telemetryOf } from '../agents/gpu/smi-watch.ts'
import { millis } from '../core/units.ts'
import { gpuTelemetryToJSON } from '../proto/gen/millrace/telemetry/v1/telemetry.ts'

/** Of an H100, but for the cells named. */
const row = (index: number, cells: Readonly<Record<string, string>> = {}): string =>
  FULL_QUERY.map(({ name }) => ({ ...good(index), ...cells })[name] ?? '0').join(', ')
const good = (index: number): Readonly<Record<string, string>> => ({
  index: `${index}`,
  uuid: `GPU-0000000${index}`,
  'pci.bus_id': `00000000:0${index}:00.0`,
  'utilization.gpu': '50',
  gpu_recovery_action: 'None',
  name: 'NVIDIA H100 80GB HBM3',
})
const everywhere = (words: string): Record<string, string> =>
  Object.fromEntries(
    FULL_QUERY.map(({ name }) => [name, words]).filter(([name = '']) => !['index', 'uuid', 'pci.bus_id', 'name'].includes(name)),
  )

const DRIVER_DOWN =
  "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running."
const OK = 'GPU_TELEMETRY_OK'
const FAILED = 'GPU_TELEMETRY_FAILED'

type Case = readonly [what: string, exitCode: number, lines: readonly string[], telemetry: string, reason: RegExp, gpus: readonly string[]]

const CASES: readonly Case[] = [
  ['driver down', 9, [DRIVER_DOWN, ''], FAILED, /kernel module installed and loaded/, []],
  [
    'version mismatch',
    18,
    ['Failed to initialize NVML: Driver/library version mismatch', 'NVML library version: 610.43'],
    FAILED,
    /reload the kernel modules or reboot/,
    [],
  ],
  [
    'version mismatch of older drivers',
    18,
    ['Failed to initialize NVML: Driver/library version mismatch'],
    FAILED,
    /different versions/,
    [],
  ],
  ['a container that lost its GPUs', 255, ['Failed to initialize NVML: Unknown Error'], FAILED, /in a container, restart it/, []],
  ['no rights', 4, ['Failed to initialize NVML: Insufficient Permissions'], FAILED, /access to \/dev\/nvidia/, []],
  ['no devices', 6, ['No devices were found'], 'GPU_TELEMETRY_NO_GPU', /finds no GPU/, []],
  ['words nobody knows', 3, ['Segmentation fault'], FAILED, /code 3/, []],
  [
    'a lost GPU before a good row',
    15,
    ['Unable to determine the device handle for GPU0: 0000:00:00.0: GPU is lost.  Reboot the system to recover this GPU', row(1)],
    OK,
    /^$/,
    ['pci-00000000:00:00.0 FAILED GPU is lost.  Reboot the system to recover this GPU', 'GPU-00000001 OK 0.5'],
  ],
  [
    'a lost GPU behind a good row',
    6,
    [row(0), 'Unable to determine the device handle for GPU 0000:01:00.0: GPU is lost.  Reboot the system to recover this GPU'],
    OK,
    /^$/,
    ['GPU-00000000 OK 0.5', 'pci-00000000:01:00.0 FAILED GPU is lost.  Reboot the system to recover this GPU'],
  ],
  [
    'a lost GPU in words without an index',
    15,
    [row(0), 'Unable to determine the device handle for GPU0000:CB:00.0: Unknown Error'],
    OK,
    /^$/,
    ['GPU-00000000 OK 0.5', 'pci-00000000:CB:00.0 FAILED Unknown Error'],
  ],
  [
    'a corrupt infoROM: all rows, and exit code 14',
    14,
    [row(0), row(1), 'WARNING: infoROM is corrupted at gpu 0000:01:00.0'],
    OK,
    /^$/,
    ['GPU-00000000 OK 0.5', 'GPU-00000001 OK 0.5'],
  ],
  [
    'a reset required',
    0,
    [row(0), row(1, { 'utilization.gpu': '[GPU requires reset]', 'temperature.gpu': '[GPU requires reset]' })],
    OK,
    /^$/,
    ['GPU-00000000 OK 0.5', 'GPU-00000001 FAILED the GPU requires a reset'],
  ],
  ['ERR! in every cell', 0, [row(0), row(1, everywhere('ERR!'))], OK, /^$/, ['GPU-00000000 OK 0.5', 'GPU-00000001 OK -']],
  [
    '[Unknown Error] in every cell',
    0,
    [row(0), row(1, everywhere('[Unknown Error]'))],
    OK,
    /^$/,
    ['GPU-00000000 OK 0.5', 'GPU-00000001 OK -'],
  ],
  ['[Insufficient Permissions] in every cell', 0, [row(0, everywhere('[Insufficient Permissions]'))], OK, /^$/, ['GPU-00000000 OK -']],
  [
    'a vGPU guest',
    0,
    [row(0, { name: 'GRID A100D-1-20C', 'utilization.gpu': '[N/A]', 'memory.used': '1', 'memory.total': '20480' })],
    OK,
    /^$/,
    ['GPU-00000000 OK -'],
  ],
]

test.each(CASES)('%s (exit code %i)', (_, exitCode, lines, telemetry, reason, gpus) => {
  const events: readonly SmiEvent[] = [
    { kind: 'started' },
    ...lines.map((text): SmiEvent => ({ kind: 'line', text })),
    { kind: 'exited', detail: `code ${exitCode}` },
  ]
  const watch = events.reduce((before, event) => stepWatch(before, event, millis(0)), FRESH_WATCH)
  expect(gpuTelemetryToJSON(telemetryOf(watch).gpuTelemetry)).toBe(telemetry)
  expect(telemetryOf(watch).gpuTelemetryReason).toMatch(reason)
  expect(
    gpusOf(watch)
      .map((gpu) => `${gpu.uuid} ${gpu.state === 1 ? `OK ${gpu.utilization ?? '-'}` : `FAILED ${gpu.stateReason}`}`)
      .sort(),
  ).toEqual([...gpus].sort())
})
