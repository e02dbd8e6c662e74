/** The host's processor and memory. The first reading has no processor use: it is a difference of two. */
import { cpus, freemem, totalmem } from 'node:os'
import type { HostReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

type Times = { readonly busy: number; readonly total: number }

export function hostReader(): () => HostReport {
  let before: Times | undefined
  let cpuUtilization: number | undefined
  return () => {
    const now = times()
    // A look soon after the last one sees too few ticks of the kernel's clock to mean anything.
    if (before === undefined || now.total - before.total >= 1_000) {
      cpuUtilization = before === undefined ? undefined : Math.min(Math.max((now.busy - before.busy) / (now.total - before.total), 0), 1)
      before = now
    }
    return { cpuUtilization, memoryTotalBytes: BigInt(totalmem()), memoryUsedBytes: BigInt(totalmem() - freemem()) }
  }
}

/** Milliseconds, over all cores. */
function times(): Times {
  let busy = 0
  let total = 0
  for (const { times } of cpus()) {
    const whole = times.user + times.nice + times.sys + times.idle + times.irq
    total += whole
    busy += whole - times.idle
  }
  return { busy, total }
}
