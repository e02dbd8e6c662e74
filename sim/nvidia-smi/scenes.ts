/**
 * What the simulated host goes through: which GPUs it shows in each round of a loop, or how the whole run fails. A scene is a function of the round, so a
 * run can be repeated line for line.
 */
import { type CaptureName, FILES, readCapture, readTitles, type SimHost } from './captures.ts'

export type Round =
  /** Lines that stand before the rows, and the rows to show. */
  | { readonly kind: 'rows'; readonly before: readonly string[]; readonly gpus: SimHost['gpus'] }
  /** The program prints nothing any more and does not end. */
  | { readonly kind: 'hang' }

export type Scene =
  | { readonly kind: 'host'; readonly titles: SimHost['titles']; readonly unknownFields: readonly string[]; round(at: number): Round }
  | { readonly kind: 'fails'; readonly words: string; readonly exitCode: number }

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

const PLAYS = ['gpu-lost', 'gpu-reset', 'hang', 'old-driver'] as const
type Play = (typeof PLAYS)[number]

export const SCENES: readonly string[] = [...Object.keys(FILES), ...Object.keys(FAILING), ...PLAYS]

const isCapture = (name: string): name is CaptureName => Object.hasOwn(FILES, name)
const isFailing = (name: string): name is keyof typeof FAILING => Object.hasOwn(FAILING, name)
const isPlay = (name: string): name is Play => PLAYS.some((play) => play === name)

/** Undefined for a name that is none of SCENES. */
export function findScene(name: string, seed: string): Scene | undefined {
  if (isFailing(name)) return { kind: 'fails', ...FAILING[name] }
  if (isCapture(name)) {
    const { titles, gpus } = readCapture(name, seed)
    return { kind: 'host', titles, unknownFields: [], round: () => ({ kind: 'rows', before: [], gpus }) }
  }
  return isPlay(name) ? play(name, seed) : undefined
}

function play(name: Play, seed: string): Scene {
  const titles = readTitles()
  const { gpus } = readCapture(name === 'old-driver' ? 'h100' : 'h100x8', seed)
  const good: Round = { kind: 'rows', before: [], gpus }
  const then = (bad: Round): Scene => ({ kind: 'host', titles, unknownFields: [], round: (at) => (at < GOOD_ROUNDS ? good : bad) })
  switch (name) {
    case 'gpu-lost': {
      const place = gpus[1]?.['pci.bus_id']?.slice(4) ?? ''
      const words = `Unable to determine the device handle for GPU1: ${place}: GPU is lost.  Reboot the system to recover this GPU`
      return then({ kind: 'rows', before: [words], gpus: gpus.toSpliced(1, 1) })
    }
    case 'gpu-reset':
      return then({
        kind: 'rows',
        before: [],
        gpus: gpus.map((gpu, at) =>
          at === 1 ? { ...gpu, 'temperature.gpu': '[GPU requires reset]', 'utilization.gpu': '[GPU requires reset]' } : gpu,
        ),
      })
    case 'hang':
      return then({ kind: 'hang' })
    case 'old-driver':
      return { kind: 'host', titles, unknownFields: ['gpu_recovery_action', 'clocks_event_reasons.active'], round: () => good }
    default:
      return name satisfies never
  }
}
