/**
 * The one door for telemetry bytes. What comes out is bounded and may be believed in form: the node is the one whose subject it came on, every
 * endpoint belongs to it, and a number that cannot be true is absent.
 */
import { isNodeId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import {
  type EndpointLoad,
  type EndpointReport,
  type NodeEvent,
  type NodeReport,
  Protocol,
  SealedReport,
} from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { short, within } from './bounds.ts'
import { type GpuRows, layRows, readRow } from './gpu-rows.ts'

/** A report that passed the door. Of its GPUs what is judged comes in `gpus`, what is kept in `gpuRows`. */
export type HeardReport = Omit<NodeReport, 'sequence'> & { readonly sequence: number; readonly gpuRows: GpuRows }

export const MALFORMED = ['too-large', 'not-a-report', 'other-node', 'bad-field', 'too-many-rows'] as const
export type Malformed = { readonly malformed: (typeof MALFORMED)[number]; readonly detail: string }

const ADDRESS = /^(unix:\/?[^\s]+|\[[0-9a-fA-F:.]+\]:\d{1,5}|[A-Za-z0-9_.-]+:\d{1,5})$/
/** Of a later agent: proxies would refuse all news for the sake of one endpoint. */
const PROTOCOLS: ReadonlySet<number> = new Set(Object.values(Protocol).filter((number) => number !== Protocol.UNRECOGNIZED))
const INTERVAL_MIN_MS = 20

/** `node` is the last token of the subject: NATS permissions hold an agent to its own. */
export function parseReport(bytes: Uint8Array, node: string): HeardReport | Malformed {
  if (bytes.length > limits.reportBytesMax) return bad('too-large', `${bytes.length} bytes`)
  let report: HeardReport
  try {
    const sealed = SealedReport.decode(bytes)
    const long = sealed.gpus.find((row) => row.length > limits.gpuRowBytesMax)
    if (long !== undefined) return bad('bad-field', `a GPU in ${long.length} bytes`)
    report = unseal(sealed)
  } catch (error) {
    return bad('not-a-report', (error as Error).message)
  }
  if (report.nodeId !== node) return bad('other-node', `a report of "${short(report.nodeId)}"`)
  if (!isNodeId(node)) return bad('bad-field', 'node_id has letters that a node id may not have')
  if (report.bootId === '' || report.bootId.length > limits.reportTextMax) return bad('bad-field', 'boot_id is empty or too long')
  if (report.intervalMs < INTERVAL_MIN_MS || report.intervalMs > limits.agentIntervalMax)
    return bad('bad-field', `interval_ms ${report.intervalMs} is not in ${INTERVAL_MIN_MS}..${limits.agentIntervalMax}`)
  if (report.sequence > Number.MAX_SAFE_INTEGER) return bad('bad-field', `sequence ${report.sequence} is no number that anybody counts to`)
  if (report.gpus.length > limits.gpusPerNodeMax) return bad('too-many-rows', `${report.gpus.length} GPUs`)
  if (report.endpoints.length > limits.endpointsPerNodeMax) return bad('too-many-rows', `${report.endpoints.length} endpoints`)
  const wrong = report.endpoints.map((endpoint) => whyWrong(endpoint, node)).find((reason) => reason !== undefined)
  if (wrong !== undefined) return bad('bad-field', wrong)
  if (report.gpus.some(({ uuid }) => uuid === '' || uuid.length > limits.reportTextMax))
    return bad('bad-field', "a GPU's uuid is empty or too long")
  tidy(report)
  return report
}

const unseal = (sealed: SealedReport): HeardReport => ({
  ...sealed,
  sequence: Number(sealed.sequence),
  gpus: sealed.gpus.map(readRow),
  gpuRows: layRows(sealed.gpus),
})

export const isMalformed = (result: HeardReport | Malformed): result is Malformed => 'malformed' in result

const bad = (malformed: Malformed['malformed'], detail: string): Malformed => ({ malformed, detail })

function whyWrong(endpoint: EndpointReport, node: string): string | undefined {
  if (!endpoint.id.startsWith(`${node}/`) || endpoint.id.length > limits.reportTextMax)
    return `endpoint id "${short(endpoint.id)}" is not "${node}/<name>"`
  if (endpoint.address.length > limits.reportTextMax || !ADDRESS.test(endpoint.address))
    return `${endpoint.id}: address "${short(endpoint.address)}" is not host:port or unix:path`
  if (!PROTOCOLS.has(endpoint.protocol)) return `${endpoint.id}: protocol ${endpoint.protocol} is not known`
  if (endpoint.models.length > limits.modelsPerEndpointMax) return `${endpoint.id}: ${endpoint.models.length} models`
  if (endpoint.models.some((model) => model === '' || model.length > limits.reportTextMax))
    return `${endpoint.id}: a model's name is empty or too long`
  if (endpoint.gpuUuids.length > limits.gpusPerNodeMax) return `${endpoint.id}: ${endpoint.gpuUuids.length} GPUs`
  if (endpoint.gpuUuids.some((uuid) => uuid.length > limits.reportTextMax)) return `${endpoint.id}: a GPU's uuid is too long`
  return undefined
}

const LOAD_FIELDS = ['queue_depth', 'running', 'kv_cache_use', 'tokens_per_s', 'requests_per_s', 'capacity'] as const

/** In place: what was just decoded is nobody else's, and twenty thousand of them come in a second. */
function tidy(report: HeardReport): void {
  report.zone = short(report.zone)
  report.agentVersion = short(report.agentVersion)
  report.gpuTelemetryReason = short(report.gpuTelemetryReason)
  report.localDrainReason = short(report.localDrainReason)
  for (const endpoint of report.endpoints) tidyEndpoint(endpoint)
  if (report.full) shareUuids(report)
  // The newest are worth the most.
  if (report.events.length > limits.eventsPerReportMax) report.events = report.events.slice(-limits.eventsPerReportMax)
  for (const event of report.events) tidyEvent(event)
}

/** A GPU and the servers that use it name it by one text; and lists that were read have room for more than is in them. What comes in between says the same. */
function shareUuids({ gpus, endpoints }: HeardReport): void {
  const uuids = new Map(gpus.map(({ uuid }) => [uuid, uuid]))
  for (const endpoint of endpoints) {
    endpoint.gpuUuids = endpoint.gpuUuids.map((uuid) => uuids.get(uuid) ?? uuid)
    endpoint.models = [...endpoint.models]
  }
}

function tidyEndpoint(endpoint: EndpointReport): void {
  endpoint.healthReason = short(endpoint.healthReason)
  endpoint.serverKind = short(endpoint.serverKind)
  // Whoever claims more would draw all requests to itself.
  endpoint.capacity = within(endpoint.capacity, 1, limits.capacityMax)
  endpoint.loadSources = tidySources(endpoint.loadSources)
  if (endpoint.load !== undefined) tidyLoad(endpoint.load)
}

/** A field of a later agent is left out: what is kept has a bound. */
function tidySources(sources: Readonly<Record<string, string>>): Record<string, string> {
  const named = LOAD_FIELDS.flatMap((field): [string, string][] => {
    const source = Object.hasOwn(sources, field) ? sources[field] : undefined
    return source === undefined ? [] : [[field, short(source)]]
  })
  return Object.fromEntries(named)
}

function tidyEvent(event: NodeEvent): void {
  event.kind = short(event.kind)
  event.detail = short(event.detail)
  event.gpuUuid = short(event.gpuUuid)
}

const count = (value: number | undefined): number | undefined => within(value, 0, Number.MAX_VALUE)

function tidyLoad(load: EndpointLoad): void {
  load.queueDepth = count(load.queueDepth)
  load.running = count(load.running)
  load.kvCacheUse = within(load.kvCacheUse, 0, 1)
  load.tokensPerS = count(load.tokensPerS)
  load.requestsPerS = count(load.requestsPerS)
}
