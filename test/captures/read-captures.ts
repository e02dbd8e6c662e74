/** The captures of nvidia-smi as the agent would meet them, and what is read out of them as a person reads it. */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { FULL_QUERY } from '../../agents/gpu/query.ts'
import type { GpuDetails } from '../../agents/gpu/read-details.ts'
import { type GpuReport, GpuState } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

const OWN = join(import.meta.dirname, 'nvidia-smi')
/** What the simulated program replays stands where the package takes it from. */
const SIM = join(import.meta.dirname, '../../sim/captures')

/** Of the files that come without a header. */
const BARE_COLUMNS =
  'index, uuid, name, pci.bus_id, utilization.gpu, utilization.memory, memory.total, memory.reserved, memory.used, memory.free, temperature.gpu, power.draw, power.limit, clocks.current.sm, pstate, mig.mode.current'

const filesOf = (folder: string, ending: string): (readonly [string, string])[] =>
  readdirSync(folder)
    .filter((file) => file.endsWith(ending))
    .sort()
    .map((file) => [basename(file, ending), readFileSync(join(folder, file), 'utf8')])

/** Name and lines: each host's rows as the agent's query brings them. A column that a capture lacks is one that its driver has no value for. */
export const rowCaptures = (): (readonly [string, readonly string[]])[] =>
  [...filesOf(SIM, '.csv'), ...filesOf(OWN, '.csv')]
    .filter(([name]) => !/(apps|instances)$/.test(name))
    .map(([name, text]) => [name, asked(name, text)])

export const xmlCaptures = () => filesOf(OWN, '.xml')
export const listCaptures = () => filesOf(OWN, '__list.txt')
export const appCaptures = () => [...filesOf(SIM, '-apps.csv'), ...filesOf(OWN, '__apps.csv')]

function asked(name: string, text: string): string[] {
  const lines = (name.endsWith('nounits') ? `${BARE_COLUMNS}\n${text}` : text).trim().split('\n')
  const [header = [], ...rows] = lines.map((line) => line.split(', '))
  const titles = header.map((title) => title.replace(/ \[.*/, ''))
  return rows.map((cells) => FULL_QUERY.map(({ name }) => withoutUnit(cells[titles.indexOf(name)] ?? '[N/A]')).join(', '))
}

const withoutUnit = (cell: string): string => cell.replace(/^([\d.]+) (%|MiB|W|MHz)$/, '$1')

const MIB = 1_048_576n
const BYTES = /Bytes$/

/** What is known, and nothing else; bytes in MiB, masks in hexadecimal, states by name. */
export function readable(facts: Partial<GpuReport> | GpuDetails | object): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(facts)
      .filter(([, value]) => value !== undefined && value !== '' && !(Array.isArray(value) && value.length === 0))
      .map(([field, value]) => [field.replace(BYTES, ''), show(field, value)]),
  )
}

function show(field: string, value: unknown): unknown {
  if (typeof value === 'bigint')
    return BYTES.test(field) ? `${value / MIB} MiB` : field === 'throttleReasons' ? `0x${value.toString(16)}` : Number(value)
  if (field === 'state') return value === GpuState.GPU_STATE_OK ? 'OK' : 'FAILED'
  return Array.isArray(value) ? value.map((one) => (typeof one === 'object' ? readable(one) : one)) : value
}
