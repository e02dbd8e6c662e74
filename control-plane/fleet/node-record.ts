/**
 * What the control plane knows of one node: the newest value of everything that its agent said, and what was concluded of each endpoint. It is replaced
 * when anything of it changes; a heartbeat moves `sequence` and `heardAt` in place.
 */
import type { Millis } from '../../core/units.ts'
import type { EndpointReport, GpuTelemetry } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import type { GpuFacts } from './gpu-record.ts'
import type { GpuRows } from './gpu-rows.ts'
import type { Liveness } from './liveness.ts'

export type EndpointRecord = { readonly report: EndpointReport; readonly liveness: Liveness }

export type NodeRecord = {
  readonly nodeId: string
  readonly zone: string
  readonly agentVersion: string
  readonly simulated: boolean
  readonly bootId: string
  /** Boots that this one replaced, newest last. */
  readonly pastBoots: readonly string[]
  sequence: number
  /** What the agent promised; silence is counted in these. */
  readonly interval: Millis
  /** When the newest report arrived, by our own clock. */
  heardAt: Millis
  /** Why the host's owner wants no new requests; undefined when he does. */
  readonly localDrain: string | undefined
  readonly gpus: ReadonlyMap<string, GpuFacts>
  /** In the order of `gpus`. */
  readonly gpuRows: GpuRows
  readonly gpuTelemetry: GpuTelemetry
  readonly gpuTelemetryReason: string
  readonly endpoints: ReadonlyMap<string, EndpointRecord>
}
