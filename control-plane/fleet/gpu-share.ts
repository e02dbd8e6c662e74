/**
 * Decides how many of its GPUs an endpoint can still use. Invariant: what nobody has seen is not lost; a GPU counts as gone only when its node's
 * own telemetry works and says so, or no longer lists it.
 */
import { type EndpointReport, GpuBinding, type GpuReport, GpuState, GpuTelemetry } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

export type GpuShare = {
  /** 0 for an endpoint without GPUs. */
  readonly total: number
  readonly usable: number
  /** Why some are not usable; empty otherwise. */
  readonly reason: string
}

export type NodeGpus = { readonly gpus: ReadonlyMap<string, GpuReport>; readonly gpuTelemetry: GpuTelemetry }

export function gpuShare(endpoint: Pick<EndpointReport, 'gpuUuids' | 'gpuBinding'>, node: NodeGpus): GpuShare {
  const bound =
    endpoint.gpuUuids.length === 0 && endpoint.gpuBinding === GpuBinding.GPU_BINDING_ALL
      ? [...node.gpus.keys()]
      : [...new Set(endpoint.gpuUuids)]
  const gone = bound.map((uuid) => whyGone(uuid, node)).filter((reason) => reason !== undefined)
  return { total: bound.length, usable: bound.length - gone.length, reason: gone.join('; ') }
}

function whyGone(uuid: string, node: NodeGpus): string | undefined {
  const gpu = node.gpus.get(uuid)
  if (gpu?.state === GpuState.GPU_STATE_FAILED) return `${uuid}: ${gpu.stateReason || 'failed'}`
  // MIG instances are not rows of the GPU table: their absence says nothing.
  if (gpu === undefined && node.gpuTelemetry === GpuTelemetry.GPU_TELEMETRY_OK && !uuid.startsWith('MIG-'))
    return `${uuid}: not on this node any more`
  return undefined
}
