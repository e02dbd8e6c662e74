/**
 * Decides which fields nvidia-smi is asked for. Cells are told apart by their position, because the printed header does not repeat the names asked for.
 * The product name comes last: some vendors' names hold commas. Before it comes the place on the bus, whose form is unlike any other cell's: a row
 * whose cells have moved by a comma too many or too few does not have it there, and is no row. A driver refuses the whole query for one name that it
 * does not know, so a refused name is replaced by its older one, or left out.
 */
import type { Millis } from '../../core/units.ts'

/** Oldest names last. */
const NAMES = {
  index: ['index'],
  uuid: ['uuid'],
  driverVersion: ['driver_version'],
  utilization: ['utilization.gpu'],
  memoryUtilization: ['utilization.memory'],
  memoryTotal: ['memory.total'],
  memoryUsed: ['memory.used'],
  temperature: ['temperature.gpu'],
  powerDraw: ['power.draw'],
  powerLimit: ['power.limit'],
  smClock: ['clocks.current.sm', 'clocks.sm'],
  smClockMax: ['clocks.max.sm'],
  throttleReasons: ['clocks_event_reasons.active', 'clocks_throttle_reasons.active'],
  eccCorrected: ['ecc.errors.corrected.volatile.total'],
  eccUncorrected: ['ecc.errors.uncorrected.volatile.total'],
  remapPending: ['remapped_rows.pending'],
  migMode: ['mig.mode.current'],
  recoveryAction: ['gpu_recovery_action'],
  performanceState: ['pstate'],
  pciBusId: ['pci.bus_id', 'gpu_bus_id'],
  name: ['name'],
} as const satisfies Record<string, readonly string[]>

export type Column = keyof typeof NAMES

/** In the order asked for. */
export type Query = readonly { readonly column: Column; readonly name: string }[]

/** Without these a row cannot be told from noise. */
const NEEDED: readonly Column[] = ['index', 'uuid', 'pciBusId']

export const FULL_QUERY: Query = (Object.keys(NAMES) as Column[]).map((column) => ({ column, name: NAMES[column][0] }))

const PLACES = new WeakMap<Query, ReadonlyMap<Column, number>>()

/** Where the cell of each column stands in a row. Found once for each query: rows come by the dozen each second. */
export function placesOf(query: Query): ReadonlyMap<Column, number> {
  const known = PLACES.get(query) ?? new Map(query.map(({ column }, at) => [column, at]))
  PLACES.set(query, known)
  return known
}

/** The query to try after `refused` was refused; undefined when there is nothing left to try. */
export function withoutField(query: Query, refused: string): Query | undefined {
  const at = query.findIndex(({ name }) => name === refused)
  const found = query[at]
  if (found === undefined) return undefined
  const names: readonly string[] = NAMES[found.column]
  const older = names[names.indexOf(refused) + 1]
  if (older !== undefined) return query.with(at, { column: found.column, name: older })
  return NEEDED.includes(found.column) ? undefined : query.toSpliced(at, 1)
}

export const queryArguments = (query: Query, period: Millis): string[] => [
  `--query-gpu=${query.map(({ name }) => name).join(',')}`,
  '--format=csv,noheader,nounits',
  '-lms',
  String(period),
]
