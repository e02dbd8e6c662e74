/**
 * Reads which processes compute on which GPU. Under MIG a row carries the uuid of the whole GPU. The header stands also above no rows, so an answer without
 * it is no answer, which is another thing than a host where nothing computes.
 */
import { limits } from '../../core/limits.ts'
import { countCell, memoryCell, textCell, uuidCell } from './parse-cells.ts'

export type ComputeApp = {
  readonly gpuUuid: string
  readonly pid: number
  readonly processName: string
  /** Unknown on Windows, and wherever the driver does not manage the memory. */
  readonly usedMemoryBytes: bigint | undefined
}

export const COMPUTE_APPS_ARGUMENTS = ['--query-compute-apps=gpu_uuid,pid,process_name,used_memory', '--format=csv,nounits'] as const

const HEADER = /^gpu_uuid, pid, /

/** Undefined when the text is no answer to the question. */
export function parseComputeApps(text: string): readonly ComputeApp[] | undefined {
  const lines = text.split('\n').map((line) => line.trim())
  const header = lines.findIndex((line) => HEADER.test(line))
  if (header < 0) return undefined
  const apps: ComputeApp[] = []
  for (const line of lines.slice(header + 1)) {
    const app = parseRow(line)
    if (app !== undefined && apps.length < limits.computeAppsMax) apps.push(app)
  }
  return apps
}

/** A process may be named with commas; the cells before its name and behind it may not hold any. */
function parseRow(line: string): ComputeApp | undefined {
  const cells = line.split(',').map((cell) => cell.trim())
  const [uuid = '', pidCell = '', ...rest] = cells
  const gpuUuid = uuidCell(uuid)
  const pid = countCell(pidCell)
  if (gpuUuid === undefined || pid === undefined || pid === 0 || rest.length < 2) return undefined
  return { gpuUuid, pid, processName: textCell(rest.slice(0, -1).join(', '), 512) ?? '', usedMemoryBytes: memoryCell(rest.at(-1) ?? '') }
}
