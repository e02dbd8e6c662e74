/**
 * The story of the agent: look at the GPUs, the server and the host, and tell the mesh what is new. Invariants: nothing is kept for later but what the
 * last sample holds; a report tells how things differ from the last one that was handed to the bus, so one that was not is made good by the next; what
 * may have been lost on the way a full report makes good; sequences of one boot id grow by one per report handed over.
 */
import type { Clock } from '../core/clock.ts'
import { limits } from '../core/limits.ts'
import { type Millis, millis } from '../core/units.ts'
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
import { changedSince, doubted, isDue, planReport, type Sample, type Sent } from './report/plan-report.ts'

export type Ports = {
  readonly clock: Clock
  /** Milliseconds since 1970, for whoever wants to know whether this host's clock is right. */
  readonly wallClock: () => bigint
  /** In [0, 1). */
  readonly draw: () => number
  readonly gpus: () => Pick<Sample, 'gpus' | 'gpuTelemetry' | 'gpuTelemetryReason'>
  readonly xids: () => Sample['xids']
  readonly endpoints: () => readonly EndpointReport[]
  readonly host: () => HostReport | undefined
  /** False when the bus is away or slow: the report is gone. */
  readonly publish: (report: NodeReport) => boolean
}

export type Self = Pick<NodeReport, 'nodeId' | 'bootId' | 'zone' | 'agentVersion' | 'simulated'>

export class SampleLoop {
  readonly #ports: Ports
  readonly #self: Self
  #sent: Sent | undefined
  #sequence = 0n
  /** Somebody may know nothing of this node: the next full report tells what happened before as well. */
  #anew = true
  #drain: Pick<Sample, 'localDrain' | 'localDrainReason'> = NO_DRAIN

  constructor(ports: Ports, self: Self) {
    this.#ports = ports
    this.#self = self
  }

  /** A report is due, whatever there is to see. */
  due(): boolean {
    return isDue(this.#sent, this.#ports.clock.now())
  }

  /** When a report is due, and whenever a part saw a state change or a load. */
  look(): void {
    const { clock, wallClock, gpus, xids, endpoints, host, publish } = this.#ports
    const now = clock.now()
    const sample: Sample = { ...gpus(), xids: xids(), endpoints: endpoints(), host: host(), ...this.#drain }
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
      events: eventsBetween(full && this.#anew ? undefined : sent?.sample, sample, now),
      gpuTelemetry: sample.gpuTelemetry,
      gpuTelemetryReason: sample.gpuTelemetryReason,
      localDrain: sample.localDrain,
      localDrainReason: sample.localDrainReason,
      wallClockUnixMs: full ? wallClock() : undefined,
    }
    if (!publish(report)) return
    this.#sequence = report.sequence
    if (full) this.#anew = false
    this.#sent = { at: now, fullBy: full ? millis(now + limits.fullReportPeriod) : sent.fullBy, sample }
  }

  /** The host's owner wants no new requests here, or wants them again. It lasts as long as the agent runs. */
  drain(reason: string | undefined): void {
    this.#drain = reason === undefined ? NO_DRAIN : { localDrain: true, localDrainReason: reason }
    this.look()
  }

  /** Tells all, now. False when the bus did not take it. */
  reportNow(): boolean {
    const before = this.#sequence
    this.#fullWithin(millis(0))
    this.look()
    return this.#sequence !== before
  }

  /** Somebody knows nothing of this node: it tells all at a moment drawn from the next `spread`, since every node of the fleet was asked. */
  rollCalled(spread: Millis): void {
    this.#fullWithin(spread)
  }

  /** What was published around the break may never have arrived: what matters goes at once, all of it when the turn comes. */
  linkReturned(spread: Millis): void {
    if (this.#sent !== undefined) this.#sent = { ...this.#sent, sample: doubted(this.#sent.sample) }
    this.#fullWithin(spread)
    this.look()
  }

  #fullWithin(spread: Millis): void {
    this.#anew = true
    if (this.#sent === undefined) return
    const { clock, draw } = this.#ports
    this.#sent = { ...this.#sent, fullBy: millis(Math.min(this.#sent.fullBy, clock.now() + draw() * spread)) }
  }
}

const NO_DRAIN = { localDrain: false, localDrainReason: '' } as const

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
