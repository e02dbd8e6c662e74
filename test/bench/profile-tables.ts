/** The measured part of docs/performance.md. */

import { table } from '../../core/show/table.ts'
import type { ProfileRun } from './records.ts'
import { WRITES } from './subjects.ts'

const percent = (share: number): string => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`
/** Rows that would all round to nothing. */
const SHARE_MIN = 0.002

type Profiled = ProfileRun['scenarios'][number]

/** Of the time on a core; all waiting for one is taken off the writes. */
export function shareOnCore({ busySeconds, userSeconds, kernelSeconds, shares }: Profiled, subject: string): number {
  const [onCore, share] = [userSeconds + kernelSeconds, shares.find((one) => one.subject === subject)?.share ?? 0]
  if (onCore <= 0) return 0
  const waited = subject === WRITES ? Math.max(0, busySeconds - onCore) : 0
  return Math.max(0, share * busySeconds - waited) / onCore
}

export function profileTables(run: ProfileRun): string {
  const { scenarios } = run
  const subjects = [
    ...new Set(scenarios.flatMap((one) => one.shares.filter(({ share }) => share >= SHARE_MIN).map(({ subject }) => subject))),
  ]
  const total = scenarios.map((one) => `${one.cpuPerUnitMicros.toFixed(1)} µs per ${one.unit}`)
  const kernel = scenarios.map((one) => percent(one.kernelSeconds / Math.max(0.01, one.userSeconds + one.kernelSeconds)))
  const rows = [
    ['CPU of the worker, profiler included', ...total],
    ['of it in the kernel', ...kernel],
    ['had work for', ...scenarios.map((one) => `${one.busySeconds.toFixed(1)} s`)],
    ['of it on a core', ...scenarios.map((one) => `${(one.userSeconds + one.kernelSeconds).toFixed(1)} s`)],
    ...subjects.map((subject) => [subject, ...scenarios.map((one) => percent(shareOnCore(one, subject)))]),
  ]
  const hottest = scenarios.map(
    (one) =>
      `Functions of \`${one.name}\` by their own time, waiting included:\n\n${one.hottest.map(({ where, share }) => `- ${percent(share)} \`${where}\``).join('\n')}`,
  )
  return `Commit ${run.commit}, ${run.at.slice(0, 10)}: ${run.machine.cpu}, ${run.machine.cores} cores, Node ${run.machine.node}; ${run.seconds} s of each scenario. Shares are of the
time that the worker spent on a core. A profiler's clock goes on while a process waits for a core; since a write wakes its reader, which may take the core
at once, all waiting is taken off the writes. Reads happen while the profiler takes the worker for idle: the shares do not hold them.

${table(['', ...scenarios.map((one) => one.name)], rows)}

${hottest.join('\n\n')}`
}
