/**
 * The story of the agent: look at the GPUs, the server and the host, and tell the mesh what is new. Invariants: nothing is kept for later but what the
 * last sample holds; whatever was not handed to the bus is made good by a full report; sequences of one boot id grow by one per report handed over.
 */
import type { Clock } from '../core/clock.ts'
import { limits } from '../core/limits.ts'
import type { Millis } from '../core/units.ts'
import {
  type EndpointReport,
  GpuState,
  GpuTelemetry,
  type HostReport,
  type NodeEvent,
  type NodeReport,
  XidAction,
} from '../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { xidEvents } from './gpu/faults.ts'
import { changedSince, planReport, type Sample, type Sent } from './report/plan-report.ts'

export type Ports = {
  readonly clock: Clock
  readonly gpus: () => Pick<Sample, 'gpus' | 'gpuTelemetry' | 'gpuTelemetryReason'>
  readonly xids: () => Sample['xids']
  readonly endpoints: () => readonly EndpointReport[]
  readonly host: () => HostReport | undefined
  /** False when the bus is away: the report is gone. */
  readonly publish: (report: NodeReport) => boolean
}

export type Self = Pick<NodeReport, 'nodeId' | 'bootId' | 'zone' | 'agentVersion' | 'simulated'>

export class SampleLoop {
  readonly #ports: Ports
  readonly #self: Self
  #sent: Sent | undefined
  #sequence = 0n

  constructor(ports: Ports, self: Self) {
    this.#ports = ports
    this.#self = self
  }

  /** On every sample period, and whenever a part saw a state change. */
  look(): void {
    const { clock, gpus, xids, endpoints, host, publish } = this.#ports
    const now = clock.now()
    const sample: Sample = { ...gpus(), xids: xids(), endpoints: endpoints(), host: host() }
    const sent = this.#sent
    const plan = planReport(sent, sample, now)
    if (plan === 'nothing') return
    const full = plan === 'full' || sent === undefined
    const report: NodeReport = {
      ...this.#self,
      sequence: this.#sequence + 1n,
      intervalMs: limits.reportPeriod,
      full,
      gpus: [...sample.gpus],
      endpoints: [...sample.endpoints],
      ...(!full && inBetween(changedSince(sent.sample, sample))),
      host: sample.host,
      events: eventsBetween(sent?.sample, sample, now),
      gpuTelemetry: sample.gpuTelemetry,
      gpuTelemetryReason: sample.gpuTelemetryReason,
      localDrain: false,
      localDrainReason: '',
    }
    if (publish(report)) {
      this.#sequence = report.sequence
      this.#sent = { at: now, fullAt: full ? now : sent.fullAt, sample }
    } else this.#sent = undefined
  }

  /** Somebody knows nothing of this node. The next look tells all: agents look at different moments, so a fleet does not answer in one breath. */
  rollCalled(): void {
    this.#sent = undefined
  }

  /** What was published around a break of the link may never have arrived. */
  linkReturned(): void {
    this.#sent = undefined
    this.look()
  }
}

/** Where numbers are from, full reports say. */
const inBetween = ({ gpus, endpoints }: Pick<Sample, 'gpus' | 'endpoints'>) => ({
  gpus: [...gpus],
  endpoints: endpoints.map((endpoint) => ({ ...endpoint, loadSources: {} })),
})

const NO_FAULT = { gpuUuid: '', xidAction: XidAction.XID_ACTION_UNSPECIFIED } as const

function eventsBetween(before: Sample | undefined, sample: Sample, now: Millis): NodeEvent[] {
  const events = xidEvents(sample.xids, before?.xids.at(-1)?.number ?? 0, sample.gpus, now)
  if (sample.gpuTelemetry === GpuTelemetry.GPU_TELEMETRY_FAILED && before?.gpuTelemetry !== sample.gpuTelemetry)
    events.push({ ageMs: 0n, kind: 'gpu-telemetry.failed', detail: sample.gpuTelemetryReason, ...NO_FAULT })
  for (const gpu of sample.gpus)
    if (gpu.state === GpuState.GPU_STATE_FAILED && before?.gpus.find(({ uuid }) => uuid === gpu.uuid)?.state !== gpu.state)
      events.push({ ageMs: 0n, kind: 'gpu.failed', detail: `${gpu.uuid}: ${gpu.stateReason}`, ...NO_FAULT, gpuUuid: gpu.uuid })
  return events
}
