/**
 * What a node's agent says of its GPUs, kept as the bytes that it came in. Of two dozen fields of each GPU hardly any is judged by; as objects the rest would
 * be most of what a control plane holds and replaces twice a second, and is read only when somebody looks at the node. Invariant: a row is kept once it
 * was read, so that it can be read again.
 */
import { limits } from '../../core/limits.ts'
import { GpuReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { short, within } from './bounds.ts'

/** Rows end to end, each behind its length in two bytes. */
export type GpuRows = Uint8Array

const LENGTH_BYTES = 2
const NO_ROWS: GpuRows = new Uint8Array(0)

/** The rows are copied: what they lie in may be overwritten. */
export function layRows(rows: readonly Uint8Array[]): GpuRows {
  if (rows.length === 0) return NO_ROWS
  const laid = new Uint8Array(rows.reduce((sum, row) => sum + LENGTH_BYTES + row.length, 0))
  let at = 0
  for (const row of rows) {
    laid[at] = row.length >>> 8
    laid[at + 1] = row.length & 0xff
    laid.set(row, at + LENGTH_BYTES)
    at += LENGTH_BYTES + row.length
  }
  return laid
}

export function rowsOf(laid: GpuRows): Uint8Array[] {
  const rows: Uint8Array[] = []
  for (let at = 0; at < laid.length; ) {
    const from = at + LENGTH_BYTES
    at = from + (((laid[at] ?? 0) << 8) | (laid[at + 1] ?? 0))
    rows.push(laid.subarray(from, at))
  }
  return rows
}

/** For whoever looks at a node. */
export const readRows = (laid: GpuRows): GpuReport[] => rowsOf(laid).map(readRow)

const WATTS_MAX = 100_000

/** Throws when it is none. A number that cannot be true is absent. */
export function readRow(row: Uint8Array): GpuReport {
  const gpu = GpuReport.decode(row)
  gpu.utilization = within(gpu.utilization, 0, 1)
  gpu.memoryUtilization = within(gpu.memoryUtilization, 0, 1)
  gpu.temperatureCelsius = within(gpu.temperatureCelsius, -100, 300)
  gpu.powerDrawWatts = within(gpu.powerDrawWatts, 0, WATTS_MAX)
  gpu.powerLimitWatts = within(gpu.powerLimitWatts, 0, WATTS_MAX)
  gpu.name = short(gpu.name)
  gpu.pciBusId = short(gpu.pciBusId)
  gpu.driverVersion = short(gpu.driverVersion)
  gpu.stateReason = short(gpu.stateReason)
  gpu.recoveryAction = gpu.recoveryAction === undefined ? undefined : short(gpu.recoveryAction)
  gpu.performanceState = gpu.performanceState === undefined ? undefined : short(gpu.performanceState)
  if (gpu.migInstances.length > limits.gpusPerNodeMax) gpu.migInstances = gpu.migInstances.slice(0, limits.gpusPerNodeMax)
  return gpu
}
