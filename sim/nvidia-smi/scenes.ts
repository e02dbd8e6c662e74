/**
 * What the simulated host goes through: which GPUs it shows in each round of a loop, or how the whole run fails. A scene is a function of the round, so a
 * run can be repeated line for line.
 */
import { type CaptureName, FILES, readCapture, readTitles, type SimGpu, type SimHost } from './captures.ts'

export type Round =
  /** Lines that stand before the rows, and the rows to show. With `end` the program says some last words and ends. */
  | { readonly kind: 'rows'; readonly before: readonly string[]; readonly gpus: SimHost['gpus']; readonly end?: End }
  /** The program prints nothing any more and does not end. */
  | { readonly kind: 'hang' }
  | ({ readonly kind: 'fails' } & End)

type End = { readonly words: string; readonly exitCode: number }

export type Scene = Pick<SimHost, 'titles' | 'instances' | 'apps'> & {
  readonly unknownFields: readonly string[]
  round(at: number): Round
}

/** So many rounds go well before one does not. */
const GOOD_ROUNDS = 3
const FAILING = {
  'driver-down': {
    words:
      "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.\n",
    exitCode: 9,
  },
  'version-mismatch': {
    words: 'Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 610.43',
    exitCode: 18,
  },
  'no-devices': { words: 'No devices were found', exitCode: 6 },
} as const

/** What becomes of the second of eight GPUs, `since` rounds after it began. */
const CHANGES = {
  healthy: (gpu) => gpu,
  'gpu-reset': (gpu) => ({ ...gpu, 'temperature.gpu': '[GPU requires reset]', 'utilization.gpu': '[GPU requires reset]' }),
  'err-cells': (gpu) => ({ ...gpu, 'utilization.gpu': 'ERR!', 'temperature.gpu': 'ERR!', 'power.draw': 'ERR!', 'memory.used': 'ERR!' }),
  'recovery-action': (gpu) => ({ ...gpu, gpu_recovery_action: 'Drain and Reset' }),
  'remap-pending': (gpu) => ({ ...gpu, 'remapped_rows.pending': 'Yes' }),
  'ecc-growth': (gpu, since) => ({
    ...gpu,
    'ecc.errors.corrected.volatile.total': `${10 * (since + 1)}`,
    'ecc.errors.uncorrected.volatile.total': `${since + 1}`,
  }),
  'ecc-corrected-growth': (gpu, since) => ({ ...gpu, 'ecc.errors.corrected.volatile.total': `${40 * since}` }),
  // Hardware slowdown with thermal slowdown by software and hardware.
  'throttle-thermal': (gpu) => throttled(gpu, '0x0000000000000068', '93'),
  // Hardware slowdown because the power supply asks for it.
  'throttle-power-brake': (gpu) => throttled(gpu, '0x0000000000000088', gpu['temperature.gpu'] ?? ''),
} as const satisfies Record<string, (gpu: SimGpu, since: number) => SimGpu>

const throttled = (gpu: SimGpu, reasons: string, celsius: string): SimGpu => ({
  ...gpu,
  'clocks_event_reasons.active': reasons,
  'temperature.gpu': celsius,
  'clocks.current.sm': '600 MHz',
})

const PLAYS = ['gpu-lost', 'hang', 'old-driver', 'old-driver-reset', 'corrupt-inforom'] as const
type Play = (typeof PLAYS)[number]

export const SCENES: readonly string[] = [...Object.keys(FILES), ...Object.keys(FAILING), ...Object.keys(CHANGES), ...PLAYS]

const isCapture = (name: string): name is CaptureName => Object.hasOwn(FILES, name)
const isFailing = (name: string): name is keyof typeof FAILING => Object.hasOwn(FAILING, name)
const isChange = (name: string): name is keyof typeof CHANGES => Object.hasOwn(CHANGES, name)
const isPlay = (name: string): name is Play => PLAYS.some((play) => play === name)

/** Undefined for a name that is none of SCENES. */
export function findScene(name: string, seed: string): Scene | undefined {
  if (isFailing(name)) return { ...nothing(), round: () => ({ kind: 'fails', ...FAILING[name] }) }
  if (isCapture(name)) {
    const { gpus, ...host } = readCapture(name, seed)
    return { ...host, unknownFields: [], round: () => rows(gpus) }
  }
  if (isChange(name)) {
    const gpus = eight(seed)
    return { ...nothing(), round: later((since) => rows(gpus.map((gpu, at) => (at === 1 ? CHANGES[name](gpu, since) : gpu))), gpus) }
  }
  return isPlay(name) ? play(name, seed) : undefined
}

function play(name: Play, seed: string): Scene {
  const gpus = eight(seed)
  const place = gpus[1]?.['pci.bus_id']?.slice(4) ?? ''
  switch (name) {
    case 'gpu-lost': {
      const words = `Unable to determine the device handle for GPU1: ${place}: GPU is lost.  Reboot the system to recover this GPU`
      return { ...nothing(), round: later(() => ({ kind: 'rows', before: [words], gpus: gpus.toSpliced(1, 1) }), gpus) }
    }
    case 'hang':
      return { ...nothing(), round: later(() => ({ kind: 'hang' }), gpus) }
    case 'old-driver': {
      const { gpus: one, ...host } = readCapture('h100', seed)
      return { ...host, unknownFields: UNKNOWN_BEFORE_535, round: () => rows(one) }
    }
    case 'old-driver-reset':
      return {
        ...nothing(),
        unknownFields: UNKNOWN_BEFORE_535,
        round: later(() => rows(gpus.map((gpu, at) => (at === 1 ? { ...gpu, gpu_recovery_action: 'Reset' } : gpu))), gpus),
      }
    case 'corrupt-inforom':
      return {
        ...nothing(),
        round: () => ({ ...rows(gpus), end: { words: `WARNING: infoROM is corrupted at gpu ${place}`, exitCode: 14 } }),
      }
    default:
      return name satisfies never
  }
}

const UNKNOWN_BEFORE_535 = ['gpu_recovery_action', 'clocks_event_reasons.active']

const nothing = (): Omit<Scene, 'round'> => ({ titles: readTitles(), instances: [], apps: [], unknownFields: [] })

const rows = (gpus: SimHost['gpus']) => ({ kind: 'rows', before: [], gpus }) as const

const later =
  (then: (since: number) => Round, gpus: SimHost['gpus']): Scene['round'] =>
  (at) =>
    at < GOOD_ROUNDS ? rows(gpus) : then(at - GOOD_ROUNDS)

/** The eight GPUs, with the cells of the one that was captured with more columns where they have none. */
function eight(seed: string): readonly SimGpu[] {
  const [full = {}] = readCapture('h100-idle', seed).gpus
  return readCapture('h100x8', seed).gpus.map((gpu) => ({ ...full, ...gpu }))
}
