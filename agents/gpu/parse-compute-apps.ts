/**
 * Reads which processes compute on which GPU. Under MIG a row carries the uuid of the whole GPU. The header stands also above no rows, so an answer without
 * it is no answer, which is another thing than a host where nothing computes. The name comes last, because a process may be named with commas.
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

export const COMPUTE_APPS_ARGUMENTS = ['--query-compute-apps=gpu_uuid,pid,used_memory,process_name', '--format=csv,nounits'] as const

const HEADER = /^gpu_uuid, pid, used_/

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

function parseRow(line: string): ComputeApp | undefined {
  const [uuid = '', pidCell = '', memory, ...name] = line.split(', ').map((cell) => cell.trim())
  const gpuUuid = uuidCell(uuid)
  const pid = countCell(pidCell)
  if (gpuUuid === undefined || pid === undefined || pid === 0 || memory === undefined || name.length === 0) return undefined
  return { gpuUuid, pid, processName: textCell(name.join(', '), 512) ?? '', usedMemoryBytes: memoryCell(memory) }
}
