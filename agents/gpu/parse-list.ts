/** Reads `nvidia-smi -L` for what it alone tells: the uuids of MIG instances. A line that is neither a GPU nor an instance of one is passed over. */
import { limits } from '../../core/limits.ts'
import { uuidCell } from './parse-cells.ts'

export type ListedMig = {
  /** Of the GPU that it is a slice of. */
  readonly gpuUuid: string
  readonly uuid: string
  readonly index: number
}

const GPU = /^GPU \d{1,5}: .*\(UUID: (\S+)\)\s*$/
const MIG = /^\s+MIG \S{1,40}\s+Device\s+(\d{1,5}): \(UUID: (MIG-[\w/-]{8,80})\)\s*$/

export function parseList(text: string): readonly ListedMig[] {
  const listed: ListedMig[] = []
  let gpuUuid: string | undefined
  for (const line of text.split('\n')) {
    // Whatever else begins at the margin is about another GPU than the one before: instances that follow must not be taken for its own.
    if (/^\S/.test(line)) gpuUuid = uuidCell(GPU.exec(line)?.[1] ?? '')
    const [, index = '', uuid = ''] = MIG.exec(line) ?? []
    if (gpuUuid === undefined || uuid === '' || listed.length >= limits.gpusPerNodeMax * limits.migInstancesPerGpuMax) continue
    listed.push({ gpuUuid, uuid, index: Number(index) })
  }
  return listed
}

export const LIST_ARGUMENTS = ['-L'] as const
