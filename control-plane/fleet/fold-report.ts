/**
 * Folds one admitted report into what is known of its node. Invariant: a report that says nothing new leaves every part the object that it was, so that
 * whoever compares by identity sees that nothing changed, and a heartbeat costs next to nothing; of the whole only the time moves then, in place. What is
 * replaced all the time costs twice, for whoever collects garbage moves what is young and lives.
 */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import { EndpointHealth, type EndpointReport, GpuTelemetry } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { foldGpus } from './fold-gpus.ts'
import { type GpuFacts, stepGpu } from './gpu-record.ts'
import { readRows } from './gpu-rows.ts'
import { gpuShare, type NodeGpus } from './gpu-share.ts'
import { keptEndpoint, sameTexts } from './kept.ts'
import { type Evidence, firstLiveness, type Liveness, stepLiveness } from './liveness.ts'
import type { EndpointRecord, NodeRecord } from './node-record.ts'
import type { HeardReport } from './parse-report.ts'

type Endpoints = NodeRecord['endpoints']

/**
 * `known` is of the same boot, or undefined. `warm`: endpoints that are ready when first heard of served before and carry their full weight at once.
 */
export function foldReport(known: NodeRecord | undefined, report: HeardReport, now: Millis, warm: boolean): NodeRecord {
  if (known !== undefined && isBeat(known, report)) return heardAgain(known, report, now)
  const { gpus, gpuRows } = foldGpus(known, report, now)
  const telemetryKnown = known === undefined || report.full || report.gpuTelemetry !== GpuTelemetry.GPU_TELEMETRY_UNSPECIFIED
  const gpuTelemetry = telemetryKnown ? report.gpuTelemetry : known.gpuTelemetry
  const next: NodeRecord = {
    nodeId: known?.nodeId ?? report.nodeId,
    zone: report.full || known === undefined || report.zone !== '' ? report.zone : known.zone,
    agentVersion: report.full || known === undefined || report.agentVersion !== '' ? report.agentVersion : known.agentVersion,
    simulated: report.simulated || (!report.full && (known?.simulated ?? false)),
    bootId: known?.bootId ?? report.bootId,
    pastBoots: known?.pastBoots ?? [],
    sequence: report.sequence,
    interval: millis(report.intervalMs),
    heardAt: now,
    localDrain: drainOf(report),
    gpus,
    gpuRows,
    gpuTelemetry,
    gpuTelemetryReason: telemetryKnown ? report.gpuTelemetryReason : known.gpuTelemetryReason,
    endpoints: foldEndpoints(known, report, { gpus, gpuTelemetry }, now, warm),
  }
  return known === undefined || known.interval !== next.interval || !sameNode(known, next) ? next : heardAgain(known, report, now)
}

function heardAgain(known: NodeRecord, { sequence }: HeardReport, now: Millis): NodeRecord {
  known.sequence = sequence
  known.heardAt = now
  return known
}

/**
 * It says that its node lives, and repeats the rest. Nearly all reports are such: a record that is made to be compared and forgotten would be most of what a
 * control plane throws away, and V8 makes records in the old space once it has learned that they live long.
 */
const isBeat = (known: NodeRecord, report: HeardReport): boolean =>
  !report.full &&
  report.gpus.length === 0 &&
  report.endpoints.length === 0 &&
  report.intervalMs === known.interval &&
  (report.gpuTelemetry === GpuTelemetry.GPU_TELEMETRY_UNSPECIFIED ||
    (report.gpuTelemetry === known.gpuTelemetry && report.gpuTelemetryReason === known.gpuTelemetryReason)) &&
  (report.zone === '' || report.zone === known.zone) &&
  (report.agentVersion === '' || report.agentVersion === known.agentVersion) &&
  (!report.simulated || known.simulated) &&
  drainOf(report) === known.localDrain &&
  allSteady(known.endpoints)

const drainOf = ({ localDrain, localDrainReason }: HeardReport): string | undefined => (localDrain ? localDrainReason : undefined)

/** An agent that restarted takes up the life of its endpoints where it was; GPUs keep what was seen of them over time. */
export function succeed(before: NodeRecord, next: NodeRecord, now: Millis): NodeRecord {
  const gpus = new Map<string, GpuFacts>()
  for (const gpu of readRows(next.gpuRows)) gpus.set(gpu.uuid, stepGpu(before.gpus.get(gpu.uuid), gpu, now))
  const endpoints = new Map<string, EndpointRecord>()
  for (const [id, record] of next.endpoints) {
    const lived = before.endpoints.get(id)?.liveness
    const evidence = evidenceOf(record.report, { gpus, gpuTelemetry: next.gpuTelemetry }, now)
    endpoints.set(id, lived === undefined ? record : { ...record, liveness: stepLiveness(lived, evidence, now) })
  }
  return { ...next, gpus, endpoints, pastBoots: [...before.pastBoots, before.bootId].slice(-limits.bootsRemembered) }
}

/** What a person could see of the node is as it was. */
export const sameNode = (a: NodeRecord, b: NodeRecord): boolean =>
  a === b ||
  (a.endpoints === b.endpoints &&
    a.gpus === b.gpus &&
    a.gpuRows === b.gpuRows &&
    a.gpuTelemetryReason === b.gpuTelemetryReason &&
    a.agentVersion === b.agentVersion &&
    a.simulated === b.simulated &&
    sameOutside(a, b))

/** What conclusions are drawn from is as it was: loads, and the use of GPUs, are no part of it. */
export const sameToJudge = (a: NodeRecord, b: NodeRecord): boolean =>
  a === b || (sameOutside(a, b) && sameFacts(a, b) && sameEndpoints(a.endpoints, b.endpoints))

const sameOutside = (a: NodeRecord, b: NodeRecord): boolean =>
  a.gpuTelemetry === b.gpuTelemetry && a.localDrain === b.localDrain && a.zone === b.zone

const sameFacts = (a: NodeGpus, b: NodeGpus): boolean => a.gpuTelemetry === b.gpuTelemetry && a.gpus === b.gpus

function sameEndpoints(a: Endpoints, b: Endpoints): boolean {
  if (a === b) return true
  if (a.size !== b.size) return false
  for (const [id, { report, liveness }] of b) {
    const before = a.get(id)
    if (before === undefined || before.liveness !== liveness || !sameOffer(before.report, report)) return false
  }
  return true
}

const sameOffer = (a: EndpointReport, b: EndpointReport): boolean =>
  a.address === b.address && a.protocol === b.protocol && a.capacity === b.capacity && sameTexts(a.models, b.models) && sameHealth(a, b)

const sameHealth = (a: EndpointReport, b: EndpointReport): boolean =>
  a.health === b.health && a.healthReason === b.healthReason && a.gpuBinding === b.gpuBinding && sameTexts(a.gpuUuids, b.gpuUuids)

const sameEntries = <Value>(
  known: ReadonlyMap<string, Value> | undefined,
  entries: readonly (readonly [string, Value])[],
): known is ReadonlyMap<string, Value> => known?.size === entries.length && entries.every(([key, value]) => known.get(key) === value)

/** An endpoint that the report leaves out is as it was said to be last, and this report repeats it: that is how probation passes. */
function foldEndpoints(known: NodeRecord | undefined, report: HeardReport, gpus: NodeGpus, now: Millis, warm: boolean): Endpoints {
  const calm = known !== undefined && sameFacts(known, gpus)
  if (calm && !report.full && report.endpoints.length === 0 && allSteady(known.endpoints)) return known.endpoints
  const result = new Map<string, EndpointRecord>()
  const fold = (said: EndpointReport): void => {
    const before = known?.endpoints.get(said.id)
    // One report names no more; nor do many small ones.
    if (before === undefined && result.size >= limits.endpointsPerNodeMax) return
    const endpoint = before === undefined ? said : keptEndpoint(before.report, said)
    const repeats = calm && before !== undefined && steady(before) && sameHealth(before.report, endpoint)
    const liveness = repeats ? before.liveness : live(before, endpoint, gpus, now, warm)
    const same = before?.report === endpoint && before.liveness === liveness
    result.set(said.id, same ? before : { report: endpoint, liveness })
  }
  if (!report.full) for (const { report: said } of known?.endpoints.values() ?? []) fold(said)
  // Where numbers are from, only full reports say.
  for (const endpoint of report.endpoints)
    fold(report.full ? endpoint : { ...endpoint, loadSources: known?.endpoints.get(endpoint.id)?.report.loadSources ?? {} })
  return sameEntries(known?.endpoints, [...result]) ? known.endpoints : result
}

function live(before: EndpointRecord | undefined, report: EndpointReport, gpus: NodeGpus, now: Millis, warm: boolean): Liveness {
  const evidence = evidenceOf(report, gpus, now)
  return before === undefined ? firstLiveness(evidence, warm, now) : stepLiveness(before.liveness, evidence, now)
}

function allSteady(endpoints: Endpoints): boolean {
  for (const endpoint of endpoints.values()) if (!steady(endpoint)) return false
  return true
}

/** Repeating what was said changes nothing of it. */
const steady = ({ report, liveness }: EndpointRecord): boolean => liveness.state === 'ready' || !lives(report)

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
