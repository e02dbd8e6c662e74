/**
 * Reads what only nvidia-smi's XML tells, or tells on more drivers than the rows do: recovery action, ECC counts, rows to remap, MIG instances. Element
 * names changed over the drivers (DTD v9 to v13), so each fact is looked for at every place that it had. What is not plainly said is absent.
 */
import { limits } from '../../core/limits.ts'
import type { GpuReport, MigInstance } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import {
  actionCell,
  bigCountCell,
  countCell,
  fatalReason,
  memoryCell,
  performanceCell,
  switchCell,
  uuidCell,
  yesNoCell,
} from './parse-cells.ts'
import type { ListedMig } from './parse-list.ts'

export type XmlElement = {
  readonly name: string
  /** Its own, without that of its children; trimmed. */
  readonly text: string
  readonly children: readonly XmlElement[]
}

export type GpuDetails = Pick<
  GpuReport,
  'recoveryAction' | 'eccCorrected' | 'eccUncorrected' | 'remapPending' | 'performanceState' | 'migEnabled' | 'migInstances'
>

/** By uuid. */
export type Details = ReadonlyMap<string, GpuDetails>

export function readDetails(log: XmlElement): Details {
  const details = new Map<string, GpuDetails>()
  for (const gpu of named(log, 'gpu')) {
    const uuid = uuidCell(textAt(gpu, 'uuid'))
    if (uuid !== undefined && details.size < limits.gpusPerNodeMax) details.set(uuid, readGpu(gpu))
  }
  return details
}

/** The XML of most drivers gives MIG instances no name; `nvidia-smi -L` does, by the same index. */
export const withMigNames = (details: Details, listed: readonly ListedMig[]): Details =>
  new Map(
    [...details].map(([gpuUuid, facts]): [string, GpuDetails] => {
      const nameOf = ({ uuid, index }: MigInstance): string =>
        uuid !== '' || index === undefined ? uuid : (listed.find((one) => one.gpuUuid === gpuUuid && one.index === index)?.uuid ?? '')
      return [gpuUuid, { ...facts, migInstances: facts.migInstances.map((instance) => ({ ...instance, uuid: nameOf(instance) })) }]
    }),
  )

const readGpu = (gpu: XmlElement): GpuDetails => ({
  recoveryAction: recoveryOf(gpu),
  eccCorrected: eccOf(gpu, 'single_bit', /^[ds]ram_correctable$/),
  eccUncorrected: eccOf(gpu, 'double_bit', /^[ds]ram_uncorrectable(_parity|_secded)?$/),
  remapPending: yesNoCell(textAt(gpu, 'remapped_rows', 'remapped_row_pending')),
  performanceState: performanceCell(textAt(gpu, 'performance_state')),
  migEnabled: switchCell(textAt(gpu, 'mig_mode', 'current_mig')),
  migInstances: named(at(gpu, 'mig_devices'), 'mig_device').slice(0, limits.migInstancesPerGpuMax).map(readMig),
})

/** One element since driver 570, two switches before; a driver that says neither may still put it into the place of a value. */
function recoveryOf(gpu: XmlElement): string | undefined {
  const action = actionCell(textAt(gpu, 'gpu_recovery_action'))
  if (action !== undefined) return action
  const drain = yesNoCell(textAt(gpu, 'gpu_reset_status', 'drain_and_reset_recommended'))
  const reset = yesNoCell(textAt(gpu, 'gpu_reset_status', 'reset_required'))
  if (drain === true) return 'Drain and Reset'
  if (reset === true || fatalReason(texts(gpu)) !== undefined) return 'Reset'
  return drain === undefined && reset === undefined ? undefined : 'None'
}

/** Since the last driver load. Older drivers print a total by kind of error, newer ones a count by kind of memory: one unknown part makes the sum unknown. */
function eccOf(gpu: XmlElement, kind: 'single_bit' | 'double_bit', parts: RegExp): bigint | undefined {
  const counts = at(gpu, 'ecc_errors', 'volatile')
  const total = at(counts, kind, 'total')
  const cells = total === undefined ? (counts?.children.filter(({ name }) => parts.test(name)) ?? []) : [total]
  let sum: bigint | undefined
  for (const { text } of cells) {
    const count = bigCountCell(text)
    if (count === undefined) return undefined
    sum = (sum ?? 0n) + count
  }
  return sum
}

/** Compute instances of one GPU instance share its memory: each says the whole of it. */
const readMig = (device: XmlElement): MigInstance => ({
  uuid: /^MIG-[\w/-]{8,80}$/.exec(textAt(device, 'uuid'))?.[0] ?? '',
  index: countCell(textAt(device, 'index')),
  gpuInstanceId: countCell(textAt(device, 'gpu_instance_id')),
  computeInstanceId: countCell(textAt(device, 'compute_instance_id')),
  memoryTotalBytes: memoryCell(textAt(device, 'fb_memory_usage', 'total')),
  memoryUsedBytes: memoryCell(textAt(device, 'fb_memory_usage', 'used')),
})

const named = (element: XmlElement | undefined, name: string): readonly XmlElement[] =>
  element?.children.filter((child) => child.name === name) ?? []

const at = (element: XmlElement | undefined, ...path: readonly string[]): XmlElement | undefined =>
  path.reduce((inside, name) => inside?.children.find((child) => child.name === name), element)

const textAt = (element: XmlElement, ...path: readonly string[]): string => at(element, ...path)?.text ?? ''

const texts = (element: XmlElement): readonly string[] => [element.text, ...element.children.flatMap(texts)]
