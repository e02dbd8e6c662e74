/**
 * Says what one line of nvidia-smi's output is. A row, the news of a lost GPU and a failure of the whole run all come on the same output, in any order; a
 * line is a row only if its cells number what was asked for, and its index, uuid and place on the bus read as such. Never throws, whatever the bytes.
 */
import { type GpuReport, GpuState } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import {
  actionCell,
  bigCountCell,
  busIdCell,
  countCell,
  fatalReason,
  maskCell,
  memoryCell,
  numberCell,
  percentCell,
  performanceCell,
  switchCell,
  textCell,
  uuidCell,
  yesNoCell,
} from './parse-cells.ts'
import { type Column, placesOf, type Query } from './query.ts'

/** Words with the cure in them, for a person. */
export type RunFailure = { readonly cause: 'no-devices' | 'driver' | 'rights' | 'unknown'; readonly reason: string }

export type SmiLine =
  | { readonly kind: 'gpu'; readonly gpu: GpuReport }
  | { readonly kind: 'lost'; readonly pciBusId: string; readonly reason: string }
  | { readonly kind: 'field-refused'; readonly name: string }
  | { readonly kind: 'run-failed'; readonly failure: RunFailure }
  | { readonly kind: 'noise' }

const LOST = /unable to determine the device handle for gpu ?(?:\d{1,2}: ?)?((?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]): *(.*)$/i
const FIELD_REFUSED = /^Field "([\w.]{1,80})" is not a valid field to query/

const FAILURES: readonly { readonly words: RegExp; readonly failure: RunFailure }[] = [
  { words: /^No devices were found/, failure: { cause: 'no-devices', reason: 'nvidia-smi finds no GPU on this host' } },
  {
    words: /couldn't communicate with the NVIDIA driver/,
    failure: { cause: 'driver', reason: 'the NVIDIA driver does not answer; is its kernel module installed and loaded?' },
  },
  {
    words: /Driver\/library version mismatch/,
    failure: { cause: 'driver', reason: 'driver and library are of different versions; reload the kernel modules or reboot' },
  },
  {
    words: /^Failed to initialize NVML: Insufficient Permissions/,
    failure: { cause: 'rights', reason: 'this user may not ask the driver; run the agent with access to /dev/nvidia*' },
  },
  {
    words: /^Failed to initialize NVML/,
    failure: { cause: 'driver', reason: 'NVML does not start; in a container, restart it so that it sees the GPUs again' },
  },
]

export function parseSmiLine(line: string, query: Query): SmiLine {
  const text = line.trim()
  // First, as nearly all lines are: the others are found by searching all of the line.
  const gpu = parseRow(text, query)
  if (gpu !== undefined) return { kind: 'gpu', gpu }
  const lost = LOST.exec(text)
  const pciBusId = lost === null ? undefined : busIdCell(lost[1] ?? '')
  if (pciBusId !== undefined) return { kind: 'lost', pciBusId, reason: lost?.[2]?.trim().slice(0, 200) || 'GPU is lost' }
  const refused = FIELD_REFUSED.exec(text)?.[1]
  if (refused !== undefined) return { kind: 'field-refused', name: refused }
  const failed = FAILURES.find(({ words }) => words.test(text))
  return failed === undefined ? { kind: 'noise' } : { kind: 'run-failed', failure: failed.failure }
}

function parseRow(text: string, query: Query): GpuReport | undefined {
  const cells = text.split(',').map((cell) => cell.trim())
  if (cells.length < query.length) return undefined
  if (cells.length > query.length && query.at(-1)?.column !== 'name') return undefined
  const places = placesOf(query)
  const cell = (column: Column): string => {
    const at = places.get(column)
    if (at === undefined) return ''
    return column === 'name' ? cells.slice(at).join(', ') : (cells[at] ?? '')
  }
  const index = countCell(cell('index'))
  const uuid = uuidCell(cell('uuid'))
  const pciBusId = busIdCell(cell('pciBusId'))
  if (index === undefined || uuid === undefined || pciBusId === undefined) return undefined
  const recoveryAction = actionCell(cell('recoveryAction'))
  return {
    uuid,
    name: textCell(cell('name')) ?? '',
    pciBusId,
    driverVersion: textCell(cell('driverVersion'), 32) ?? '',
    index,
    utilization: percentCell(cell('utilization')),
    memoryUtilization: percentCell(cell('memoryUtilization')),
    memoryTotalBytes: memoryCell(cell('memoryTotal')),
    memoryUsedBytes: memoryCell(cell('memoryUsed')),
    temperatureCelsius: numberCell(cell('temperature'), -100, 300),
    powerDrawWatts: numberCell(cell('powerDraw'), 0, 100_000),
    powerLimitWatts: numberCell(cell('powerLimit'), 0, 100_000),
    smClockMhz: countCell(cell('smClock')),
    smClockMaxMhz: countCell(cell('smClockMax')),
    throttleReasons: maskCell(cell('throttleReasons')),
    eccUncorrected: bigCountCell(cell('eccUncorrected')),
    eccCorrected: bigCountCell(cell('eccCorrected')),
    remapPending: yesNoCell(cell('remapPending')),
    performanceState: performanceCell(cell('performanceState')),
    migEnabled: switchCell(cell('migMode')),
    recoveryAction,
    migInstances: [],
    ...judge(cells, recoveryAction),
  }
}

/** What a GPU's own words make of it, from a row or from the XML. */
export function judge(cells: readonly string[], recoveryAction: string | undefined): Pick<GpuReport, 'state' | 'stateReason'> {
  const fatal = fatalReason(cells)
  if (fatal !== undefined) return { state: GpuState.GPU_STATE_FAILED, stateReason: fatal }
  if (recoveryAction !== undefined && recoveryAction !== 'None')
    return { state: GpuState.GPU_STATE_FAILED, stateReason: `recovery action: ${recoveryAction}` }
  return { state: GpuState.GPU_STATE_OK, stateReason: '' }
}
