/**
 * Decides what an endpoint can still do with its GPUs. Invariants: what nobody has seen is not lost; a GPU counts as gone only when its node's own
 * telemetry works and says so, or no longer lists it; a server cannot let go of one GPU, so one that has to be left drains the endpoint.
 */
import type { Millis } from '../../core/units.ts'
import { type EndpointReport, GpuBinding, GpuTelemetry } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { type GpuFacts, type GpuVerdict, judgeGpu } from './gpu-record.ts'

export type GpuShare = {
  /** 0 for an endpoint without GPUs. */
  readonly total: number
  readonly usable: number
  /** Speed of the usable ones: 1 is full. */
  readonly factor: number
  /** Why it is not all of them at full speed; empty otherwise. */
  readonly reason: string
  /** `firm`: a GPU asks for it. */
  readonly leaving?: { readonly firm: boolean; readonly reason: string } | undefined
  /** One that is gone asks for a recovery that only a person starts. */
  readonly asksRecovery: boolean
}

export type NodeGpus = { readonly gpus: ReadonlyMap<string, GpuFacts>; readonly gpuTelemetry: GpuTelemetry }

type Judged = { readonly uuid: string; readonly verdict: GpuVerdict }

const UNSEEN: GpuVerdict = { kind: 'usable', factor: 1, rests: false, reason: '' }

export function gpuShare(endpoint: Pick<EndpointReport, 'gpuUuids' | 'gpuBinding'>, node: NodeGpus, now: Millis): GpuShare {
  const bound = boundTo(endpoint, node).map((uuid): Judged => ({ uuid, verdict: judge(uuid, node, now) }))
  const usable = bound.filter(({ verdict }) => verdict.kind !== 'gone')
  const speeds = usable.map(({ verdict }) => (verdict.kind === 'usable' ? verdict.factor : 1))
  return {
    total: bound.length,
    usable: usable.length,
    factor: speeds.length === 0 ? 1 : speeds.reduce((sum, speed) => sum + speed, 0) / speeds.length,
    reason: inWords(bound.filter(({ verdict }) => verdict.reason !== '')),
    leaving: leaving(usable),
    asksRecovery: bound.some(({ verdict }) => verdict.kind === 'gone' && verdict.asksRecovery),
  }
}

function boundTo({ gpuUuids, gpuBinding }: Pick<EndpointReport, 'gpuUuids' | 'gpuBinding'>, node: NodeGpus): readonly string[] {
  if (gpuUuids.length === 0 && gpuBinding === GpuBinding.GPU_BINDING_ALL) return [...node.gpus.keys()]
  return [...new Set(gpuUuids)]
}

function judge(uuid: string, node: NodeGpus, now: Millis): GpuVerdict {
  const gpu = node.gpus.get(uuid) ?? (uuid.startsWith('MIG-') ? parentOf(uuid, node) : undefined)
  if (gpu !== undefined) return judgeGpu(gpu, now)
  // Drivers that do not list MIG instances leave them out of the table: their absence says nothing.
  if (node.gpuTelemetry !== GpuTelemetry.GPU_TELEMETRY_OK || uuid.startsWith('MIG-')) return UNSEEN
  return { kind: 'gone', asksRecovery: false, reason: 'not on this node any more' }
}

const parentOf = (uuid: string, { gpus }: NodeGpus): GpuFacts | undefined =>
  [...gpus.values()].find(({ instances }) => instances.includes(uuid))

/** One that has to be left outweighs those that merely rest. */
function leaving(usable: readonly Judged[]): GpuShare['leaving'] {
  const asked = usable.filter(({ verdict }) => verdict.kind === 'leaving')
  if (asked.length > 0) return { firm: asked.some(({ verdict }) => verdict.kind === 'leaving' && verdict.firm), reason: inWords(asked) }
  if (usable.length === 0 || usable.some(({ verdict }) => verdict.kind === 'usable' && !verdict.rests)) return undefined
  return { firm: false, reason: inWords(usable) }
}

const inWords = (judged: readonly Judged[]): string => judged.map(({ uuid, verdict }) => `${uuid}: ${verdict.reason}`).join('; ')
