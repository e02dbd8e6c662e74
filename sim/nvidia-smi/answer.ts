/**
 * Reads nvidia-smi's own arguments and says what it would print, as far as this project asks: GPUs or processes as CSV, once or in a loop, the XML,
 * and -L.
 */
import type { SimApp, SimGpu, SimHost, SimInstance } from './captures.ts'
import type { Scene } from './scenes.ts'

type Form = { readonly header: boolean; readonly units: boolean }

export type Question =
  | ({
      readonly kind: 'query'
      readonly fields: readonly string[]
      /** Between the rounds of a loop; undefined for one round. */
      readonly periodMs: number | undefined
    } & Form)
  | ({ readonly kind: 'apps'; readonly fields: readonly string[] } & Form)
  | { readonly kind: 'xml' }
  | { readonly kind: 'list' }
  | { readonly kind: 'unclear'; readonly words: string }

const FORMAT = '--format='
const QUERY = '--query-gpu='
const APPS = '--query-compute-apps='

/** The older name is an alias of the newer one in drivers that know both. */
const ALIASES: Readonly<Record<string, string>> = {
  'clocks_throttle_reasons.active': 'clocks_event_reasons.active',
  'clocks.sm': 'clocks.current.sm',
  gpu_bus_id: 'pci.bus_id',
  gpu_name: 'name',
  gpu_uuid: 'uuid',
}

const APP_TITLES: Readonly<Record<string, string>> = {
  gpu_uuid: 'gpu_uuid',
  pid: 'pid',
  process_name: 'process_name',
  used_memory: 'used_gpu_memory [MiB]',
  used_gpu_memory: 'used_gpu_memory [MiB]',
}

const listed = (argument: string, option: string): string[] =>
  argument
    .slice(option.length)
    .split(',')
    .map((name) => name.trim())

export function readQuestion(argv: readonly string[]): Question {
  let asked: { readonly kind: 'query' | 'apps'; readonly fields: readonly string[] } | undefined
  let format: readonly string[] = []
  let periodMs: number | undefined
  if (argv.length === 2 && argv.includes('-q') && argv.includes('-x')) return { kind: 'xml' }
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at] ?? ''
    if (argument === '-L' || argument === '--list-gpus') return { kind: 'list' }
    if (argument.startsWith(QUERY)) asked = { kind: 'query', fields: listed(argument, QUERY) }
    else if (argument.startsWith(APPS)) asked = { kind: 'apps', fields: listed(argument, APPS) }
    else if (argument.startsWith(FORMAT)) format = argument.slice(FORMAT.length).split(',')
    else if (argument === '-l' || argument === '-lms') {
      const period = Number(argv[++at])
      if (!(period > 0)) return { kind: 'unclear', words: `Option "${argument}" is missing its value.` }
      periodMs = argument === '-l' ? period * 1000 : period
    } else
      return { kind: 'unclear', words: `Invalid combination of input arguments. The simulated nvidia-smi does not know "${argument}".` }
  }
  if (asked === undefined)
    return { kind: 'unclear', words: 'The simulated nvidia-smi answers --query-gpu=…, --query-compute-apps=…, -q -x and -L.' }
  if (!format.includes('csv')) return { kind: 'unclear', words: '"--format=" switch is missing. Please run \'nvidia-smi -h\' for help.' }
  const form: Form = { header: !format.includes('noheader'), units: !format.includes('nounits') }
  return asked.kind === 'apps'
    ? { ...form, kind: 'apps', fields: asked.fields }
    : { ...form, kind: 'query', fields: asked.fields, periodMs }
}

/** The first field that this host's driver refuses. */
export const refusedField = (fields: readonly string[], scene: Scene): string | undefined =>
  fields.find((field) => scene.unknownFields.includes(field) || scene.titles[ALIASES[field] ?? field] === undefined)

export const refusedAppField = (fields: readonly string[]): string | undefined => fields.find((field) => APP_TITLES[field] === undefined)

export const headerLine = (fields: readonly string[], titles: SimHost['titles']): string =>
  fields.map((field) => titles[ALIASES[field] ?? field] ?? field).join(', ')

export function rowLine(fields: readonly string[], gpu: SimGpu, units: boolean, timestamp: string): string {
  const cell = (field: string): string => {
    if (field === 'timestamp') return timestamp
    const value = gpu[ALIASES[field] ?? field] ?? '[N/A]'
    return units ? value : withoutUnit(value)
  }
  return fields.map(cell).join(', ')
}

/** Processes of GPUs that are not shown now are not shown either. */
export function appLines(fields: readonly string[], apps: readonly SimApp[], gpus: readonly SimGpu[], { header, units }: Form): string[] {
  const rows = apps.flatMap(({ gpu, pid, name, memory }) => {
    const uuid = gpus.find(({ index }) => index === `${gpu}`)?.uuid
    const used = units ? memory : withoutUnit(memory)
    const cells: Readonly<Record<string, string>> = {
      gpu_uuid: uuid ?? '',
      pid,
      process_name: name,
      used_memory: used,
      used_gpu_memory: used,
    }
    return uuid === undefined ? [] : [fields.map((field) => cells[field]).join(', ')]
  })
  return header ? [fields.map((field) => APP_TITLES[field]).join(', '), ...rows] : rows
}

export const listLines = (gpus: readonly SimGpu[], instances: readonly SimInstance[]): string[] =>
  gpus.flatMap((gpu, at) => [
    `GPU ${gpu.index}: ${gpu.name} (UUID: ${gpu.uuid})`,
    ...(at === 0 ? instances : []).map(
      ({ total, index, uuid }) => `  MIG ${Math.round(Number.parseInt(total, 10) / 1024)}gb         Device  ${index}: (UUID: ${uuid})`,
    ),
  ])

const withoutUnit = (cell: string): string => cell.replace(/^([\d.]+) .*$/, '$1')
