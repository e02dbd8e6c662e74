/** The captures that the simulated nvidia-smi can replay: GPUs as rows by column name, cells with their units as the real program prints them. */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'

/** A row's cells by query name. */
export type SimGpu = Readonly<Record<string, string>>

/** A slice of the first GPU; its cells as the XML prints them. */
export type SimInstance = {
  readonly uuid: string
  readonly index: string
  readonly gpuInstance: string
  readonly computeInstance: string
  readonly total: string
  readonly used: string
}

/** Computes on the GPU of that index. */
export type SimApp = { readonly gpu: number; readonly pid: string; readonly name: string; readonly memory: string }

export type SimHost = {
  /** By query name, as a header line shows it: `memory.total [MiB]`. */
  readonly titles: Readonly<Record<string, string>>
  readonly gpus: readonly SimGpu[]
  readonly instances: readonly SimInstance[]
  readonly apps: readonly SimApp[]
}

/** From the sources and from dist/ alike: the package carries the captures once, at their place in the source tree. */
const folder = new URL(import.meta.filename.endsWith('.ts') ? '../captures/' : '../../../sim/captures/', import.meta.url)

const EIGHT = 'h100x8-idle.noheader.nounits.csv'
/** Of that file, which has no header of its own. */
const EIGHT_COLUMNS = [
  'index',
  'uuid',
  'name',
  'pci.bus_id',
  'utilization.gpu',
  'utilization.memory',
  'memory.total',
  'memory.reserved',
  'memory.used',
  'memory.free',
  'temperature.gpu',
  'power.draw',
  'power.limit',
  'clocks.current.sm',
  'pstate',
  'mig.mode.current',
]

export const FILES = {
  h100: 'h100-load.csv',
  'h100-idle': 'h100-idle.csv',
  'h100-mig': 'h100-mig-load.csv',
  'h100-mig-idle': 'h100-mig-idle.csv',
  h200: 'h200-load.csv',
  l40s: 'l40s-load.csv',
  'rtx-4080-super': 'rtx-4080-super-load.csv',
  'rtx-4080-super-idle': 'rtx-4080-super-idle.csv',
  h100x8: EIGHT,
} as const

export type CaptureName = keyof typeof FILES

/** A column that this capture lacks and others have is a field that its driver knows and gives no value for. */
export const readTitles = (): SimHost['titles'] => byName(lines(FILES.h100)[0] ?? '')

export function readCapture(name: CaptureName, seed: string): SimHost {
  const titles = readTitles()
  const [header, ...rows] = name === 'h100x8' ? [EIGHT_COLUMNS.join(', '), ...lines(EIGHT)] : lines(FILES[name])
  const columns = Object.keys(byName(header ?? ''))
  const gpus = rows.map((row, index): SimGpu => {
    const cells = row.split(', ')
    const gpu = Object.fromEntries(columns.map((column, at) => [column, withUnit(cells[at] ?? '', titles[column] ?? '')]))
    return { driver_version: '565.57.01', ...gpu, index: String(index), uuid: syntheticUuid('GPU', `${seed}/${index}`) }
  })
  return { titles, gpus, instances: instancesOf(name, seed), apps: appsOf(name) }
}

/** Cells are the GPU, pid, memory (`MiB` may stand behind it) and name. */
export function readApps(rows: readonly string[], gpuOf: (cell: string) => number): SimApp[] {
  return rows.map((row) => {
    const [gpu = '', pid = '', memory = '', ...name] = row.split(',').map((cell) => cell.trim())
    return { gpu: gpuOf(gpu), pid, name: name.join(', '), memory: /^\d+$/.test(memory) ? `${memory} MiB` : memory }
  })
}

function instancesOf(name: CaptureName, seed: string): SimInstance[] {
  if (!name.startsWith('h100-mig')) return []
  return lines('h100-mig-load-instances.csv')
    .slice(1)
    .map((row) => {
      const [index = '', gpuInstance = '', computeInstance = '', total = '', used = ''] = row.split(', ')
      return { uuid: syntheticUuid('MIG', `${seed}/0/${index}`), index, gpuInstance, computeInstance, total, used }
    })
}

/** A capture of one GPU: whatever computes, computes there. */
function appsOf(name: CaptureName): SimApp[] {
  const file = FILES[name].replace('.csv', '-apps.csv')
  return existsSync(new URL(file, folder)) ? readApps(lines(file).slice(1), () => 0) : []
}

const lines = (file: string): string[] =>
  readFileSync(new URL(file, folder), 'utf8')
    .split('\n')
    .filter((line) => line !== '')

const byName = (header: string): Record<string, string> =>
  Object.fromEntries(header.split(', ').map((title) => [title.replace(/ \[.*/, ''), title]))

/** The file of eight comes without units. */
function withUnit(cell: string, title: string): string {
  const unit = /\[(.+)\]$/.exec(title)?.[1]
  return unit === undefined || !/^[\d.]+$/.test(cell) ? cell : `${cell} ${unit}`
}

function syntheticUuid(kind: 'GPU' | 'MIG', seed: string): string {
  const hex = createHash('sha256').update(seed).digest('hex')
  return `${kind}-${[hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-')}`
}
