/**
 * Folds one admitted report into what is known of its node. Invariant: a report that says nothing new leaves every part the object that it was, so that
 * whoever compares by identity sees that nothing changed, and a heartbeat costs next to nothing.
 */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import {
  EndpointHealth,
  type EndpointReport,
  type GpuReport,
  GpuTelemetry,
  type NodeReport,
} from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { type GpuRecord, stepGpu } from './gpu-record.ts'
import { gpuShare, type NodeGpus } from './gpu-share.ts'
import { type Evidence, firstLiveness, stepLiveness } from './liveness.ts'
import type { EndpointRecord, NodeRecord } from './node-record.ts'

type Endpoints = NodeRecord['endpoints']

/**
 * `known` is of the same boot, or undefined. `warm`: endpoints that are ready when first heard of served before and carry their full weight at once.
 */
export function foldReport(known: NodeRecord | undefined, report: NodeReport, now: Millis, warm: boolean): NodeRecord {
  const gpus = foldGpus(known?.gpus, report, now)
  const telemetryKnown = known === undefined || report.full || report.gpuTelemetry !== GpuTelemetry.GPU_TELEMETRY_UNSPECIFIED
  const gpuTelemetry = telemetryKnown ? report.gpuTelemetry : known.gpuTelemetry
  return {
    nodeId: report.nodeId,
    zone: report.full || known === undefined || report.zone !== '' ? report.zone : known.zone,
    agentVersion: report.full || known === undefined || report.agentVersion !== '' ? report.agentVersion : known.agentVersion,
    simulated: report.simulated || (!report.full && (known?.simulated ?? false)),
    bootId: report.bootId,
    pastBoots: known?.pastBoots ?? [],
    sequence: report.sequence,
    interval: millis(report.intervalMs),
    heardAt: now,
    localDrain: report.localDrain ? report.localDrainReason : undefined,
    gpus,
    gpuTelemetry,
    gpuTelemetryReason: telemetryKnown ? report.gpuTelemetryReason : known.gpuTelemetryReason,
    endpoints: foldEndpoints(known, report, { gpus, gpuTelemetry }, now, warm),
  }
}

/** An agent that restarted takes up the life of its endpoints where it was; GPUs keep what was seen of them over time. */
export function succeed(before: NodeRecord, next: NodeRecord, now: Millis): NodeRecord {
  const gpus = new Map<string, GpuRecord>()
  for (const [uuid, { report }] of next.gpus) gpus.set(uuid, stepGpu(before.gpus.get(uuid), report, now))
  const endpoints = new Map<string, EndpointRecord>()
  for (const [id, record] of next.endpoints) {
    const lived = before.endpoints.get(id)?.liveness
    const evidence = evidenceOf(record.report, { gpus, gpuTelemetry: next.gpuTelemetry }, now)
    endpoints.set(id, lived === undefined ? record : { ...record, liveness: stepLiveness(lived, evidence, now) })
  }
  return { ...next, gpus, endpoints, pastBoots: [...before.pastBoots, before.bootId].slice(-limits.bootsRemembered) }
}

/** What a person or a proxy could see of the node is as it was. */
export const sameNode = (a: NodeRecord, b: NodeRecord): boolean =>
  a.endpoints === b.endpoints &&
  a.gpus === b.gpus &&
  a.gpuTelemetry === b.gpuTelemetry &&
  a.gpuTelemetryReason === b.gpuTelemetryReason &&
  a.localDrain === b.localDrain &&
  a.zone === b.zone &&
  a.agentVersion === b.agentVersion &&
  a.simulated === b.simulated

function foldGpus(known: NodeRecord['gpus'] | undefined, report: NodeReport, now: Millis): NodeRecord['gpus'] {
  if (known !== undefined && !report.full && report.gpus.length === 0) return known
  const step = (gpu: GpuReport): [string, GpuRecord] => [gpu.uuid, stepGpu(known?.get(gpu.uuid), gpu, now)]
  return new Map([...(report.full ? [] : (known ?? [])), ...report.gpus.map(step)])
}

/** An endpoint that the report leaves out is as it was said to be last, and this report repeats it: that is how probation passes. */
function foldEndpoints(known: NodeRecord | undefined, report: NodeReport, gpus: NodeGpus, now: Millis, warm: boolean): Endpoints {
  const quiet = known !== undefined && !report.full && report.endpoints.length === 0
  if (quiet && known.gpus === gpus.gpus && known.gpuTelemetry === gpus.gpuTelemetry && allSteady(known.endpoints)) return known.endpoints
  const said = new Map<string, EndpointReport>()
  if (!report.full) for (const [id, record] of known?.endpoints ?? []) said.set(id, record.report)
  // Where numbers are from, only full reports say.
  for (const endpoint of report.endpoints)
    said.set(endpoint.id, report.full ? endpoint : { ...endpoint, loadSources: said.get(endpoint.id)?.loadSources ?? {} })
  const result = new Map<string, EndpointRecord>()
  let same = said.size === known?.endpoints.size
  for (const [id, endpoint] of said) {
    const before = known?.endpoints.get(id)
    const evidence = evidenceOf(endpoint, gpus, now)
    const liveness = before === undefined ? firstLiveness(evidence, warm, now) : stepLiveness(before.liveness, evidence, now)
    const unchanged = before !== undefined && before.liveness === liveness && before.report === endpoint
    result.set(id, unchanged ? before : { report: endpoint, liveness })
    same &&= unchanged
  }
  return same && known !== undefined ? known.endpoints : result
}

/** Repeating what was said changes nothing of these. */
function allSteady(endpoints: Endpoints): boolean {
  for (const { report, liveness } of endpoints.values()) if (liveness.state !== 'ready' && lives(report)) return false
  return true
}

const lives = ({ health }: Pick<EndpointReport, 'health'>): boolean =>
  health === EndpointHealth.ENDPOINT_HEALTH_READY || health === EndpointHealth.ENDPOINT_HEALTH_BUSY

export function evidenceOf(report: EndpointReport, node: NodeGpus, now: Millis): Evidence {
  const gpus = gpuShare(report, node, now)
  // A server that answers its probe on a host that lost every GPU it was given is not one to send work to.
  if (gpus.total > 0 && gpus.usable === 0)
    return { health: 'failed', reason: `no usable GPU (${gpus.reason})`.slice(0, limits.reportTextMax) }
  // One that turned its probe away lives.
  if (lives(report)) return { health: 'ready' }
  switch (report.health) {
    case EndpointHealth.ENDPOINT_HEALTH_STARTING:
      return { health: 'starting', reason: report.healthReason }
    case EndpointHealth.ENDPOINT_HEALTH_FAILED:
      return { health: 'failed', reason: report.healthReason }
    default:
      return { health: 'unknown' }
  }
}
