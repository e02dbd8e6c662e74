/** The host's processor and memory, read once a second: a host has hundreds of cores. The first reading has no processor use: it is a difference of two. */
import { closeSync, openSync, readSync } from 'node:fs'
import { cpus, freemem, totalmem } from 'node:os'
import type { Clock } from '../../core/clock.ts'
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { HostReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

type Times = { readonly busy: number; readonly total: number }

export function hostReader(clock: Clock): () => HostReport {
  const memoryTotalBytes = BigInt(totalmem())
  let readAt: Millis | undefined
  let before: Times | undefined
  let report: HostReport = { memoryTotalBytes }
  return () => {
    const at = clock.now()
    if (readAt !== undefined && at - readAt < limits.hostPeriod) return report
    readAt = at
    const now = times()
    const cpuUtilization = before === undefined || now.total <= before.total ? undefined : share(before, now)
    before = now
    report = { cpuUtilization, memoryTotalBytes, memoryUsedBytes: memoryTotalBytes - BigInt(freemem()) }
    return report
  }
}

const share = (before: Times, now: Times): number => Math.min(Math.max((now.busy - before.busy) / (now.total - before.total), 0), 1)

const FIRST_LINE_MAX = 512

/** Over all cores, in a unit of its own. */
function times(): Times {
  const line = firstLine()
  return line === undefined ? timesOfCores() : timesOf(line)
}

/** user nice system idle iowait irq softirq steal; guests are within user. */
export function timesOf(line: string): Times {
  const counts = line.trim().split(/\s+/).slice(1, 9).map(Number)
  const total = counts.reduce((sum, count) => sum + count, 0)
  return { total, busy: total - (counts[3] ?? 0) - (counts[4] ?? 0) }
}

/** Of /proc/stat; undefined on a system without one. */
function firstLine(): string | undefined {
  let file: number | undefined
  try {
    file = openSync('/proc/stat', 'r')
    const bytes = Buffer.alloc(FIRST_LINE_MAX)
    const text = bytes.toString('latin1', 0, readSync(file, bytes, 0, FIRST_LINE_MAX, 0))
    return text.startsWith('cpu ') ? text.slice(0, text.indexOf('\n')) : undefined
  } catch {
    return undefined
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

function timesOfCores(): Times {
  let busy = 0
  let total = 0
  for (const { times } of cpus()) {
    const whole = times.user + times.nice + times.sys + times.idle + times.irq
    total += whole
    busy += whole - times.idle
  }
  return { busy, total }
}
