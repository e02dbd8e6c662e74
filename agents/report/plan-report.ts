/**
 * Decides whether a sample is worth a report now, and how much of it goes. A state that changed or a queue that really moved goes at once; otherwise a
 * report keeps the promised period, also when nothing changed, because silence means something else.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import {
  EndpointHealth,
  type EndpointReport,
  type GpuReport,
  GpuState,
  type HostReport,
  type NodeReport,
} from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import type { XidNote } from '../gpu/faults.ts'

/** What the agent sees at one moment. */
export type Sample = Pick<NodeReport, 'gpuTelemetry' | 'gpuTelemetryReason' | 'localDrain' | 'localDrainReason'> & {
  readonly gpus: readonly GpuReport[]
  readonly endpoints: readonly EndpointReport[]
  readonly host: HostReport | undefined
  /** What the kernel's log told of GPUs lately, oldest first. */
  readonly xids: readonly XidNote[]
}

/** What receivers know, as far as this side can tell. */
export type Sent = { readonly at: Millis /** When the next full report is due. */; readonly fullBy: Millis; readonly sample: Sample }

export type Plan = 'nothing' | 'delta' | 'full'

/** Samples come by a timer that may be early: half a sample's grace, or a report would wait for the next one and seem missed. */
const DUE = limits.reportPeriod - limits.samplePeriod / 2
const QUEUE_STEP = 2
const QUEUE_SHARE = 0.25

/** A report goes now, whatever the sample. */
export const isDue = (sent: Sent | undefined, now: Millis): boolean => sent === undefined || now >= sent.fullBy || now - sent.at >= DUE

/** `sent` is undefined when receivers may know nothing, or something else. */
export function planReport(sent: Sent | undefined, sample: Sample, now: Millis): Plan {
  if (sent === undefined || now >= sent.fullBy || listsDiffer(sent.sample, sample)) return 'full'
  if (isDue(sent, now) || stateChanged(sent.sample, sample) || queueMoved(sent.sample, sample)) return 'delta'
  return 'nothing'
}

/**
 * What may be taken for known after a break of the link: what was told shortly before it may not have arrived. Endpoints and GPUs that are not well count
 * as not told, so that the next report carries them; the rest can wait for the full one.
 */
export const doubted = (sample: Sample): Sample => ({
  ...sample,
  gpus: sample.gpus.map((gpu) => (gpu.state === GpuState.GPU_STATE_OK ? gpu : { ...gpu, state: GpuState.GPU_STATE_UNSPECIFIED })),
  endpoints: sample.endpoints.map((endpoint) => ({ ...endpoint, health: EndpointHealth.ENDPOINT_HEALTH_UNSPECIFIED })),
})

/** The GPUs and endpoints to be sent whole, because something in them changed. */
export function changedSince(before: Sample, sample: Sample): Pick<Sample, 'gpus' | 'endpoints'> {
  return {
    gpus: sample.gpus.filter(
      (gpu) =>
        !same(
          gpu,
          before.gpus.find(({ uuid }) => uuid === gpu.uuid),
        ),
    ),
    // How long the probe took changes with every probe, as do the words on where numbers are from: neither is a reason to send the endpoint.
    endpoints: sample.endpoints.filter((endpoint) => {
      const was = before.endpoints.find(({ id }) => id === endpoint.id)
      return was === undefined || !same({ ...endpoint, ...FLEETING }, { ...was, ...FLEETING })
    }),
  }
}

const FLEETING = { probeLatencyMs: undefined, loadSources: undefined } as const

/** Only a full report can say that a GPU or an endpoint is no longer there. */
const listsDiffer = (before: Sample, sample: Sample): boolean =>
  before.gpus.length !== sample.gpus.length ||
  before.endpoints.length !== sample.endpoints.length ||
  sample.gpus.some(({ uuid }, at) => uuid !== before.gpus[at]?.uuid) ||
  sample.endpoints.some(({ id }, at) => id !== before.endpoints[at]?.id)

const stateChanged = (before: Sample, sample: Sample): boolean =>
  before.gpuTelemetry !== sample.gpuTelemetry ||
  before.localDrain !== sample.localDrain ||
  before.localDrainReason !== sample.localDrainReason ||
  sample.gpus.some((gpu, at) => gpu.state !== before.gpus[at]?.state) ||
  sample.endpoints.some((endpoint, at) => {
    const was = before.endpoints[at]
    return endpoint.health !== was?.health || !same(endpoint.models, was.models)
  })

const queueMoved = (before: Sample, sample: Sample): boolean =>
  sample.endpoints.some((endpoint, at) => isMove(before.endpoints[at]?.load?.queueDepth, endpoint.load?.queueDepth))

function isMove(before: number | undefined, now: number | undefined): boolean {
  if (before === undefined || now === undefined) return before !== now
  if (before === 0 || now === 0) return before !== now
  const step = Math.abs(now - before)
  return step >= QUEUE_STEP && step >= before * QUEUE_SHARE
}

function same(one: unknown, other: unknown): boolean {
  if (one === other) return true
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false
  const [a, b] = [one as Record<string, unknown>, other as Record<string, unknown>]
  for (const name in a) if (!same(a[name], b[name])) return false
  for (const name in b) if (!(name in a) && b[name] !== undefined) return false
  return true
}
