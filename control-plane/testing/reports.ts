/** Node reports for this plane's tests, said in a few words. */
import {
  EndpointHealth,
  EndpointReport,
  GpuReport,
  GpuState,
  GpuTelemetry,
  NodeReport,
  Protocol,
} from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { type HeardReport, isMalformed, parseReport } from '../fleet/parse-report.ts'

export const INTERVAL_MS = 500

export const gpu = (uuid: string, state: 'ok' | 'failed' = 'ok', fields: Partial<GpuReport> = {}): GpuReport => ({
  ...GpuReport.fromPartial({
    uuid,
    state: state === 'ok' ? GpuState.GPU_STATE_OK : GpuState.GPU_STATE_FAILED,
    stateReason: state === 'ok' ? '' : 'fallen off the bus',
  }),
  ...fields,
})

export const HEALTH = {
  ready: EndpointHealth.ENDPOINT_HEALTH_READY,
  starting: EndpointHealth.ENDPOINT_HEALTH_STARTING,
  failed: EndpointHealth.ENDPOINT_HEALTH_FAILED,
  busy: EndpointHealth.ENDPOINT_HEALTH_BUSY,
  unknown: EndpointHealth.ENDPOINT_HEALTH_UNSPECIFIED,
} as const

export const endpoint = (node: string, fields: Partial<EndpointReport> = {}): EndpointReport => ({
  ...EndpointReport.fromPartial({
    id: `${node}/triton`,
    address: '127.0.0.1:8001',
    protocol: Protocol.PROTOCOL_KSERVE_GRPC,
    models: ['*'],
    health: HEALTH.ready,
  }),
  ...fields,
})

export const report = (node: string, sequence: number, fields: Partial<NodeReport> = {}): NodeReport => ({
  ...NodeReport.fromPartial({
    nodeId: node,
    bootId: 'boot-1',
    sequence: BigInt(sequence),
    intervalMs: INTERVAL_MS,
    full: true,
    zone: 'z1',
    gpuTelemetry: GpuTelemetry.GPU_TELEMETRY_OK,
    endpoints: [endpoint(node)],
  }),
  ...fields,
})

/** A report in between that says nothing but that the node lives. */
export const heartbeat = (node: string, sequence: number): NodeReport =>
  report(node, sequence, { full: false, endpoints: [], zone: '', gpuTelemetry: GpuTelemetry.GPU_TELEMETRY_UNSPECIFIED })

/** As it comes through the door. */
export function heard(said: NodeReport): HeardReport {
  const report = parseReport(NodeReport.encode(said).finish(), said.nodeId)
  if (isMalformed(report)) throw new Error(`${report.malformed}: ${report.detail}`)
  return report
}
