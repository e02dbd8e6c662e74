/**
 * Folds one report into what is known of its node. Invariants: within a boot only a later sequence counts; a boot that was replaced never comes
 * back; a node is only known from a full report on, because a report in between leaves things out.
 */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import { EndpointHealth, type EndpointReport, GpuTelemetry, type NodeReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { type GpuShare, gpuShare, type NodeGpus } from './gpu-share.ts'
import { type Evidence, firstLiveness, type Liveness, stepLiveness } from './liveness.ts'
import type { EndpointRecord, NodeRecord } from './node-record.ts'

export const FOLD_DROPS = ['replayed', 'past-boot', 'no-full-report-yet'] as const
export type FoldDrop = (typeof FOLD_DROPS)[number]

export type Folded = { readonly node: NodeRecord } | { readonly dropped: FoldDrop }

/** `warm`: endpoints that are ready when first heard of served before and carry their full weight at once. */
export function foldReport(known: NodeRecord | undefined, report: NodeReport, now: Millis, warm: boolean): Folded {
  const sameBoot = known?.bootId === report.bootId
  if (known !== undefined && sameBoot && report.sequence <= known.sequence) return { dropped: 'replayed' }
  if (known?.pastBoots.includes(report.bootId)) return { dropped: 'past-boot' }
  if (!report.full && !sameBoot) return { dropped: 'no-full-report-yet' }
  const base = report.full ? undefined : known
  const gpus = merge(base?.gpus, report.gpus, (gpu) => gpu.uuid)
  const telemetryKnown = report.full || report.gpuTelemetry !== GpuTelemetry.GPU_TELEMETRY_UNSPECIFIED
  const gpuTelemetry = telemetryKnown || known === undefined ? report.gpuTelemetry : known.gpuTelemetry
  const node: NodeRecord = {
    nodeId: report.nodeId,
    zone: report.full || report.zone !== '' ? report.zone : (known?.zone ?? ''),
    agentVersion: report.full || report.agentVersion !== '' ? report.agentVersion : (known?.agentVersion ?? ''),
    simulated: report.simulated || (base?.simulated ?? false),
    bootId: report.bootId,
    pastBoots:
      known === undefined || sameBoot ? (known?.pastBoots ?? []) : [...known.pastBoots, known.bootId].slice(-limits.bootsRemembered),
    sequence: report.sequence,
    interval: millis(report.intervalMs),
    heardAt: now,
    gpus,
    gpuTelemetry,
    gpuTelemetryReason: telemetryKnown || known === undefined ? report.gpuTelemetryReason : known.gpuTelemetryReason,
    endpoints: foldEndpoints(known, base, report.endpoints, { gpus, gpuTelemetry }, now, warm),
  }
  return { node }
}

/** An endpoint that the report leaves out is as it was said to be last, and this report repeats it: that is how probation passes. */
function foldEndpoints(
  known: NodeRecord | undefined,
  base: NodeRecord | undefined,
  reports: readonly EndpointReport[],
  gpus: NodeGpus,
  now: Millis,
  warm: boolean,
): ReadonlyMap<string, EndpointRecord> {
  const said = new Map([...(base?.endpoints.values() ?? [])].map((record) => [record.report.id, record.report]))
  // Where numbers are from, only full reports say.
  for (const report of reports)
    said.set(report.id, base === undefined ? report : { ...report, loadSources: said.get(report.id)?.loadSources ?? {} })
  const result = new Map<string, EndpointRecord>()
  for (const [id, report] of said) {
    const before = known?.endpoints.get(id)
    const share = gpuShare(report, gpus)
    const evidence = evidenceOf(report, share)
    const liveness: Liveness = before === undefined ? firstLiveness(evidence, warm, now) : stepLiveness(before.liveness, evidence, now)
    result.set(id, { report, gpus: share, liveness })
  }
  return result
}

export function evidenceOf(report: Pick<EndpointReport, 'health' | 'healthReason'>, gpus: GpuShare): Evidence {
  // A server that answers its probe on a host that lost every GPU it was given is not one to send work to.
  if (gpus.total > 0 && gpus.usable === 0) return { health: 'failed', reason: `no usable GPU (${gpus.reason})` }
  switch (report.health) {
    case EndpointHealth.ENDPOINT_HEALTH_READY:
      return { health: 'ready' }
    case EndpointHealth.ENDPOINT_HEALTH_STARTING:
      return { health: 'starting', reason: report.healthReason }
    case EndpointHealth.ENDPOINT_HEALTH_FAILED:
      return { health: 'failed', reason: report.healthReason }
    default:
      return { health: 'unknown' }
  }
}

function merge<T>(base: ReadonlyMap<string, T> | undefined, rows: readonly T[], key: (row: T) => string): ReadonlyMap<string, T> {
  if (base !== undefined && rows.length === 0) return base
  return new Map([...(base ?? []), ...rows.map((row): [string, T] => [key(row), row])])
}
