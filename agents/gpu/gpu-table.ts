/**
 * Holds the GPUs of the host as the lines of a looping nvidia-smi tell of them. The loop prints a block of rows per tick and nothing between blocks: a
 * second row of one GPU begins a new one. A GPU that was known and is missing from a whole block is lost. Nothing but an own row makes a lost GPU OK.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import { type GpuReport, GpuState } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

export type GpuTable = {
  readonly gpus: ReadonlyMap<string, GpuReport>
  /** When the row of a GPU came. One that is lost has none. */
  readonly rowAt: ReadonlyMap<string, Millis>
  /** Uuids told of since the block began. */
  readonly block: ReadonlySet<string>
}

export const EMPTY_TABLE: GpuTable = { gpus: new Map(), rowAt: new Map(), block: new Set() }

/** A GPU that was lost before its uuid was ever seen goes by its place on the bus. */
const placeholder = (pciBusId: string): string => `pci-${pciBusId}`

export function withRow(table: GpuTable, gpu: GpuReport, now: Millis): GpuTable {
  const { gpus, rowAt, block } = turnPage(table, gpu.uuid)
  if (!gpus.has(gpu.uuid) && gpus.size >= limits.gpusPerNodeMax) return table
  const next = new Map(gpus).set(gpu.uuid, gpu)
  next.delete(placeholder(gpu.pciBusId))
  return { gpus: next, rowAt: new Map(rowAt).set(gpu.uuid, now), block: new Set(block).add(gpu.uuid) }
}

export function withLost(table: GpuTable, pciBusId: string, reason: string): GpuTable {
  const known = [...table.gpus.values()].find((gpu) => gpu.pciBusId === pciBusId)
  const uuid = known?.uuid ?? placeholder(pciBusId)
  const { gpus, rowAt, block } = table
  if (!gpus.has(uuid) && gpus.size >= limits.gpusPerNodeMax) return table
  return {
    gpus: new Map(gpus).set(uuid, lost(known ?? unseenGpu(pciBusId), reason)),
    rowAt: without(rowAt, uuid),
    block: new Set(block).add(uuid),
  }
}

/** The next line may come from another run, whose first block must not be joined to a half of this one's. */
export const withNewRun = (table: GpuTable): GpuTable => ({ ...table, block: new Set() })

export const withAllLost = (table: GpuTable, reason: string): GpuTable => ({
  gpus: new Map([...table.gpus].map(([uuid, gpu]) => [uuid, lost(gpu, reason)])),
  rowAt: new Map(),
  block: new Set(),
})

/** What is still true when nobody can be asked: which GPUs there are, and which of them had failed. */
export const withoutMeasurements = (table: GpuTable): readonly GpuReport[] =>
  [...table.gpus.values()].map((gpu) =>
    gpu.state === GpuState.GPU_STATE_FAILED ? gpu : { ...identity(gpu), state: GpuState.GPU_STATE_UNSPECIFIED, stateReason: '' },
  )

function turnPage(table: GpuTable, uuid: string): GpuTable {
  if (!table.block.has(uuid)) return table
  // As nearly always: all are there, and rows come by the dozen each second.
  if (table.block.size === table.gpus.size) return { ...table, block: new Set() }
  const gpus = [...table.gpus].map(([known, gpu]): [string, GpuReport] => [
    known,
    table.block.has(known) ? gpu : lost(gpu, 'nvidia-smi no longer lists this GPU'),
  ])
  return { gpus: new Map(gpus), rowAt: new Map([...table.rowAt].filter(([known]) => table.block.has(known))), block: new Set() }
}

const without = (times: ReadonlyMap<string, Millis>, uuid: string): ReadonlyMap<string, Millis> =>
  new Map([...times].filter(([known]) => known !== uuid))

const lost = (gpu: GpuReport, reason: string): GpuReport =>
  gpu.state === GpuState.GPU_STATE_FAILED && gpu.stateReason === reason
    ? gpu
    : { ...identity(gpu), state: GpuState.GPU_STATE_FAILED, stateReason: reason }

const identity = ({ uuid, name, pciBusId, index, driverVersion }: GpuReport) => ({
  uuid,
  name,
  pciBusId,
  index,
  driverVersion,
  migInstances: [],
})

export const unseenGpu = (pciBusId: string): GpuReport => ({
  uuid: placeholder(pciBusId),
  name: '',
  pciBusId,
  driverVersion: '',
  state: GpuState.GPU_STATE_UNSPECIFIED,
  stateReason: '',
  migInstances: [],
})
