/** Reads nvidia-smi's own arguments and says what it would print, as far as this project asks: a query as CSV, once or in a loop, and -L. */

import type { SimGpu, SimHost } from './captures.ts'
import type { Scene } from './scenes.ts'

export type Question =
  | {
      readonly kind: 'query'
      readonly fields: readonly string[]
      readonly header: boolean
      readonly units: boolean
      /** Between the rounds of a loop; undefined for one round. */
      readonly periodMs: number | undefined
    }
  | { readonly kind: 'list' }
  | { readonly kind: 'unclear'; readonly words: string }

const FORMAT = '--format='
const QUERY = '--query-gpu='

/** The older name is an alias of the newer one in drivers that know both. */
const ALIASES: Readonly<Record<string, string>> = {
  'clocks_throttle_reasons.active': 'clocks_event_reasons.active',
  'clocks.sm': 'clocks.current.sm',
  gpu_name: 'name',
  gpu_uuid: 'uuid',
}

export function readQuestion(argv: readonly string[]): Question {
  let fields: readonly string[] | undefined
  let format: readonly string[] = []
  let periodMs: number | undefined
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at] ?? ''
    if (argument === '-L' || argument === '--list-gpus') return { kind: 'list' }
    if (argument.startsWith(QUERY))
      fields = argument
        .slice(QUERY.length)
        .split(',')
        .map((name) => name.trim())
    else if (argument.startsWith(FORMAT)) format = argument.slice(FORMAT.length).split(',')
    else if (argument === '-l' || argument === '-lms') {
      const period = Number(argv[++at])
      if (!(period > 0)) return { kind: 'unclear', words: `Option "${argument}" is missing its value.` }
      periodMs = argument === '-l' ? period * 1000 : period
    } else
      return { kind: 'unclear', words: `Invalid combination of input arguments. The simulated nvidia-smi does not know "${argument}".` }
  }
  if (fields === undefined) return { kind: 'unclear', words: 'The simulated nvidia-smi answers --query-gpu=… and -L.' }
  if (!format.includes('csv')) return { kind: 'unclear', words: '"--format=" switch is missing. Please run \'nvidia-smi -h\' for help.' }
  return { kind: 'query', fields, header: !format.includes('noheader'), units: !format.includes('nounits'), periodMs }
}

/** The first field that this host's driver refuses. */
export const refusedField = (fields: readonly string[], scene: Extract<Scene, { kind: 'host' }>): string | undefined =>
  fields.find((field) => scene.unknownFields.includes(field) || scene.titles[ALIASES[field] ?? field] === undefined)

export const headerLine = (fields: readonly string[], titles: SimHost['titles']): string =>
  fields.map((field) => titles[ALIASES[field] ?? field] ?? field).join(', ')

export function rowLine(fields: readonly string[], gpu: SimGpu, units: boolean, timestamp: string): string {
  const cell = (field: string): string => {
    if (field === 'timestamp') return timestamp
    const value = gpu[ALIASES[field] ?? field] ?? '[N/A]'
    return units ? value : value.replace(/^([\d.]+) .*$/, '$1')
  }
  return fields.map(cell).join(', ')
}

export const listLine = (gpu: SimGpu): string => `GPU ${gpu.index}: ${gpu.name} (UUID: ${gpu.uuid})`
