/** Which GPUs an endpoint uses, by what was said of it, or else found out. Invariant: a number that no GPU of the host has stands for none, never for another. */
import { type EndpointReport, GpuBinding, type GpuReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

export type BoundGpus = Pick<EndpointReport, 'gpuUuids' | 'gpuBinding'>

/** `found`: by its processes. Without a wish, and when nothing was found out, it may use all of them. */
export function bindGpus(
  wish: readonly string[] | undefined,
  found: readonly string[] | undefined,
  gpus: readonly Pick<GpuReport, 'uuid' | 'index'>[],
): BoundGpus {
  if (wish === undefined && found !== undefined) return { gpuUuids: [...found], gpuBinding: GpuBinding.GPU_BINDING_PROCESS }
  if (wish === undefined) return { gpuUuids: gpus.map(({ uuid }) => uuid), gpuBinding: GpuBinding.GPU_BINDING_ALL }
  const named = wish.map((one) => (/^\d+$/.test(one) ? gpus.find(({ index }) => index === Number(one))?.uuid : one))
  return { gpuUuids: [...new Set(named)].filter((uuid) => uuid !== undefined), gpuBinding: GpuBinding.GPU_BINDING_FLAG }
}
