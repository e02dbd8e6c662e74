/**
 * Decides which GPUs the kernel's log has taken out of service, and until when. A fault sticks, because a GPU that needs a reset goes on looking well to
 * nvidia-smi: it ends with a new boot, when the driver asks for nothing any more, when nvidia-smi had called the GPU failed after it and then shows it
 * well (it was reset), or by an operator's word. Xids that an application causes take no GPU out of service.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import { type GpuReport, GpuState, type NodeEvent, XidAction } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { unseenGpu } from './gpu-table.ts'
import type { GpuNews, KernelNews } from './parse-kernel-line.ts'
import { cureOf, disables } from './xids.ts'

export type GpuFault = {
  readonly action: XidAction
  /** With the cure. */
  readonly reason: string
  /** nvidia-smi has called the GPU failed since. */
  readonly seenBySmi: boolean
  /** When the kernel last told of it, since the host booted; undefined when its log has no times. */
  readonly writtenAt: Millis | undefined
}

/** What the log told of a GPU, for whoever reads reports. */
export type XidNote = {
  readonly number: number
  readonly at: Millis
  readonly pciBusId: string
  readonly xid: number | undefined
  readonly action: XidAction
  readonly reason: string
}

export type Faults = {
  /** By place on the bus. */
  readonly faults: ReadonlyMap<string, GpuFault>
  /** The newest, oldest first. */
  readonly notes: readonly XidNote[]
  readonly noted: number
  /** By place on the bus: what the kernel wrote until then is over. An agent that starts anew reads it again. */
  readonly over: ReadonlyMap<string, Millis>
}

export const NO_FAULTS: Faults = { faults: new Map(), notes: [], noted: 0, over: new Map() }

export type FaultEvent =
  | ({ readonly kind: 'kernel'; readonly news: KernelNews } & Dated)
  /** What nvidia-smi says of the GPUs, before faults are laid over it. */
  | { readonly kind: 'smi'; readonly gpus: readonly GpuReport[] }
  | { readonly kind: 'cleared'; readonly pciBusId: string }

type Dated = {
  /** When it was written: by the agent's clock, and since the host booted. */
  readonly at: Millis
  readonly writtenAt: Millis | undefined
  /** It was in the log when the agent began to read. */
  readonly old: boolean
}

export function stepFaults(before: Faults, event: FaultEvent): Faults {
  switch (event.kind) {
    case 'kernel':
      return event.news.kind === 'boot' ? { ...before, faults: NO_FAULTS.faults, over: NO_FAULTS.over } : onNews(before, event.news, event)
    case 'smi':
      return before.faults.size === 0 ? before : onSmi(before, event.gpus)
    case 'cleared':
      return without(before, event.pciBusId)
    default:
      return event satisfies never
  }
}

/** The GPUs as the mesh is to see them. */
export function withFaults(gpus: readonly GpuReport[], { faults }: Faults): readonly GpuReport[] {
  if (faults.size === 0) return gpus
  const known = new Set(gpus.map(({ pciBusId }) => pciBusId))
  const unseen = [...faults.keys()].filter((pciBusId) => !known.has(pciBusId)).map(unseenGpu)
  return [...gpus, ...unseen].slice(0, limits.gpusPerNodeMax).map((gpu) => {
    const fault = faults.get(gpu.pciBusId)
    return fault === undefined ? gpu : { ...gpu, state: GpuState.GPU_STATE_FAILED, stateReason: fault.reason, faultAction: fault.action }
  })
}

/** The place of a GPU that an operator calls by its uuid, or by its place, and that has a fault. */
export function faultyPlace(name: string, gpus: readonly GpuReport[], { faults }: Faults): string | undefined {
  const seen = withFaults(gpus, { ...NO_FAULTS, faults }).find((gpu) => gpu.uuid === name || gpu.pciBusId === name)
  return seen !== undefined && faults.has(seen.pciBusId) ? seen.pciBusId : undefined
}

/** The notes behind `after`, as a report carries them. */
export const xidEvents = (notes: readonly XidNote[], after: number, gpus: readonly GpuReport[], now: Millis): NodeEvent[] =>
  notes
    .filter(({ number }) => number > after)
    .map(({ at, pciBusId, xid, action, reason }) => {
      const { uuid } = gpus.find((gpu) => gpu.pciBusId === pciBusId) ?? unseenGpu(pciBusId)
      const ageMs = BigInt(Math.max(0, Math.round(now - at)))
      return { ageMs, kind: 'xid', detail: `${uuid}: ${reason}`, gpuUuid: uuid, xid, xidAction: action }
    })

/** What an application did long ago is no news; what a GPU still suffers from is. */
function onNews(before: Faults, news: GpuNews, { at, writtenAt, old }: Dated): Faults {
  const over = before.over.get(news.pciBusId)
  if (old && over !== undefined && writtenAt !== undefined && writtenAt <= over) return before
  const reason = `${news.xid === undefined ? '' : `Xid ${news.xid}: `}${news.words}; ${cureOf(news.action)}`
  const note: XidNote = { number: before.noted + 1, at, pciBusId: news.pciBusId, xid: news.xid, action: news.action, reason }
  const told = disables(news.action) || !old
  const noted = told ? { ...before, noted: note.number, notes: [...before.notes, note].slice(-limits.xidNotesMax) } : before
  if (news.lifted) return without(noted, news.pciBusId)
  return disables(news.action) ? withFault(noted, news.pciBusId, { action: news.action, reason, seenBySmi: false, writtenAt }) : noted
}

/** The first of equal faults is the cause and the others its consequences; a graver one asks for more. */
function withFault(before: Faults, pciBusId: string, fault: GpuFault): Faults {
  const known = before.faults.get(pciBusId)
  if (known === undefined && before.faults.size >= limits.gpusPerNodeMax) return before
  const graver = known === undefined || (known.action !== fault.action && known.action !== XidAction.XID_ACTION_REBOOT_NODE)
  const now = graver ? fault : { ...fault, action: known.action, reason: known.reason }
  return { ...before, faults: new Map(before.faults).set(pciBusId, now) }
}

function onSmi(before: Faults, gpus: readonly GpuReport[]): Faults {
  let after = before
  for (const { pciBusId, state } of gpus) {
    const fault = before.faults.get(pciBusId)
    if (fault === undefined) continue
    if (state === GpuState.GPU_STATE_FAILED && !fault.seenBySmi)
      after = { ...after, faults: new Map(after.faults).set(pciBusId, { ...fault, seenBySmi: true }) }
    if (state === GpuState.GPU_STATE_OK && fault.seenBySmi) after = without(after, pciBusId)
  }
  return after
}

function without(before: Faults, pciBusId: string): Faults {
  const fault = before.faults.get(pciBusId)
  if (fault === undefined) return before
  const faults = new Map(before.faults)
  faults.delete(pciBusId)
  return { ...before, faults, over: fault.writtenAt === undefined ? before.over : new Map(before.over).set(pciBusId, fault.writtenAt) }
}
