/** Lays what the kernel's log says of GPUs over what nvidia-smi says, tells the log and the counters of it, and takes an operator's word that a fault is over. */
import { uptime } from 'node:os'
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/edge/log.ts'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { type XidAction, xidActionToJSON } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { type FaultEvent, type Faults, faultyPlace, NO_FAULTS, stepFaults, withFaults, type XidNote } from '../gpu/faults.ts'
import type { KernelText } from '../gpu/kernel-text.ts'
import { type GpuNews, readKernelMessage, type Unfinished } from '../gpu/parse-kernel-line.ts'
import type { Ports } from '../sample-loop.ts'

export type FaultWatch = {
  readonly gpus: Ports['gpus']
  notes(): readonly XidNote[]
  /** A message of the kernel. `old`: from before the agent began to read. */
  read(text: KernelText, old: boolean): void
  /** By uuid or by place on the bus. */
  clear(gpu: string): { readonly done: boolean; readonly detail: string }
  /** GPUs that are out of service because of it. */
  count(): number
}

export type FaultWatchOptions = {
  /** As nvidia-smi tells of them. */
  readonly gpus: Ports['gpus']
  readonly clock: Clock
  readonly log: Logger
  readonly onChange: () => void
  readonly onXid: (action: string) => void
  /** What outlives the agent; without it a fault that is over comes back when the agent starts anew. */
  readonly memory: FaultMemory | undefined
}

export type FaultMemory = {
  load(): Faults['over']
  save(over: Faults['over']): void
}

const MINUTE_MS = 60_000

export function watchFaults({ gpus: smi, clock, log, onChange, onXid, memory }: FaultWatchOptions): FaultWatch {
  let faults: Faults = { ...NO_FAULTS, over: memory?.load() ?? NO_FAULTS.over }
  let unfinished: Unfinished
  let minute = { since: clock.now(), lines: 0 }

  const become = (event: FaultEvent): Faults => {
    const before = faults
    faults = stepFaults(before, event)
    if (faults.over !== before.over) memory?.save(faults.over)
    return before
  }

  const gpus: Ports['gpus'] = () => {
    const view = smi()
    const before = become({ kind: 'smi', gpus: view.gpus })
    for (const [pciBusId, { reason }] of before.faults) if (!faults.faults.has(pciBusId)) log.info({ pciBusId, reason }, 'gpu-fault.over')
    return { ...view, gpus: withFaults(view.gpus, faults) }
  }

  const tell = (news: GpuNews, old: boolean, before: Faults): void => {
    onXid(nameOf(news.action))
    const now = clock.now()
    if (now - minute.since >= MINUTE_MS) minute = { since: now, lines: 0 }
    const fault = faults.faults.get(news.pciBusId)
    const fails = fault !== undefined && fault.reason !== before.faults.get(news.pciBusId)?.reason
    // What an application did before the agent came is counted, and no news.
    if (!fails && (old || ++minute.lines > limits.xidLogLinesPerMinute)) return
    const { pciBusId, xid, words } = news
    log[fails ? 'error' : 'warn']({ pciBusId, xid, action: nameOf(news.action), words, old }, fails ? 'gpu-fault.begun' : 'gpu.xid')
  }

  return {
    gpus,
    notes: () => faults.notes,
    read(text, old) {
      const { news, unfinished: rest } = readKernelMessage(unfinished, text.text)
      unfinished = rest
      if (news === undefined) return
      // What is read as it is written needs no date; the kernel's clock is not the agent's.
      const age = old && text.at !== undefined ? Math.max(0, uptime() * 1_000 - text.at) : 0
      const before = become({ kind: 'kernel', news, at: millis(clock.now() - age), writtenAt: text.at, old })
      if (news.kind === 'gpu') tell(news, old, before)
      else if (before.faults.size > 0) log.info({ faults: before.faults.size }, 'gpu-fault.new-boot')
      const isNews =
        news.kind === 'boot'
          ? before.faults.size > 0
          : faults.faults.get(news.pciBusId)?.reason !== before.faults.get(news.pciBusId)?.reason
      if (isNews) onChange()
    },
    clear(gpu) {
      const seen = smi().gpus
      const pciBusId = faultyPlace(gpu, seen, faults)
      if (pciBusId === undefined) return { done: false, detail: `no fault from the kernel's log holds ${gpu}` }
      const reason = faults.faults.get(pciBusId)?.reason
      become({ kind: 'cleared', pciBusId })
      log.info({ gpu, pciBusId, reason }, 'gpu-fault.cleared')
      onChange()
      return { done: true, detail: `cleared: ${reason}` }
    },
    count: () => faults.faults.size,
  }
}

/** As a label: restart_application, reset_gpu, … */
const nameOf = (action: XidAction): string => xidActionToJSON(action).replace('XID_ACTION_', '').toLowerCase()
