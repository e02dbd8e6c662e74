/**
 * Folds what a report says of GPUs into what is known of them: facts to judge by, and rows to be shown. Invariants: rows lie in the order of the facts; each part
 * stays the object that it was when the report says nothing new of it; there are never more GPUs than one report may name.
 */
import { sameBytes } from '../../core/bytes.ts'
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import { type GpuFacts, stepGpu } from './gpu-record.ts'
import { type GpuRows, layRows, rowsOf } from './gpu-rows.ts'
import type { HeardReport } from './parse-report.ts'

export type ToldGpus = { readonly gpus: ReadonlyMap<string, GpuFacts>; readonly gpuRows: GpuRows }
type Report = Pick<HeardReport, 'full' | 'gpus' | 'gpuRows'>

/** A full report names all that there are; one in between those that changed. */
export function foldGpus(known: ToldGpus | undefined, report: Report, now: Millis): ToldGpus {
  if (known !== undefined && !report.full && report.gpus.length === 0) return known
  const kept = report.full ? undefined : known
  const gpus = foldFacts(known?.gpus, kept?.gpus, report, now)
  const rows = namesJust(report, gpus) ? report.gpuRows : mergeRows(kept, report, gpus)
  return { gpus, gpuRows: known !== undefined && sameBytes(known.gpuRows, rows) ? known.gpuRows : rows }
}

function foldFacts(
  known: ToldGpus['gpus'] | undefined,
  kept: ToldGpus['gpus'] | undefined,
  { gpus }: Report,
  now: Millis,
): ToldGpus['gpus'] {
  const next = new Map(kept)
  let beside: GpuFacts | undefined
  for (const gpu of gpus) {
    if (next.size >= limits.gpusPerNodeMax && !next.has(gpu.uuid)) continue
    beside = stepGpu(known?.get(gpu.uuid), gpu, now, beside)
    next.set(gpu.uuid, beside)
  }
  return known !== undefined && sameInOrder(known, next) ? known : next
}

function sameInOrder(known: ToldGpus['gpus'], next: ToldGpus['gpus']): boolean {
  if (known.size !== next.size) return false
  const uuids = known.keys()
  for (const [uuid, facts] of next) if (uuids.next().value !== uuid || known.get(uuid) !== facts) return false
  return true
}

function namesJust(report: Report, gpus: ToldGpus['gpus']): boolean {
  if (report.gpus.length !== gpus.size) return false
  const uuids = gpus.keys()
  return report.gpus.every(({ uuid }) => uuids.next().value === uuid)
}

function mergeRows(kept: ToldGpus | undefined, report: Report, gpus: ToldGpus['gpus']): GpuRows {
  const rows = new Map<string, Uint8Array>()
  if (kept !== undefined) {
    const known = rowsOf(kept.gpuRows)
    for (const uuid of kept.gpus.keys()) rows.set(uuid, known[rows.size] as Uint8Array)
  }
  for (const [at, row] of rowsOf(report.gpuRows).entries()) rows.set(report.gpus[at]?.uuid ?? '', row)
  return layRows([...gpus.keys()].map((uuid) => rows.get(uuid) as Uint8Array))
}
