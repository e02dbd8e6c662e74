/** One row of the page: a load is kept up, and what the control plane used in the measured seconds is divided by what it did in them. */
import { setTimeout as wait } from 'node:timers/promises'
import type { Plan } from './plans.ts'
import type { ScaleRow } from './records.ts'
import { type Sample, Stage } from './stage.ts'

export type Spans = { readonly warmSeconds: number; readonly seconds: number }

export async function measure(plan: Plan, { warmSeconds, seconds }: Spans): Promise<ScaleRow> {
  const stage = await Stage.open(plan.load)
  try {
    await wait(warmSeconds * 1_000)
    const before = await stage.sample()
    await wait(seconds * 1_000)
    return rowOf(plan, before, await stage.sample())
  } finally {
    await stage.close()
  }
}

export function rowOf(plan: Plan, before: Sample, after: Sample): ScaleRow {
  const seconds = (after.atMs - before.atMs) / 1_000
  const grown = (read: (sample: Sample) => number): number => read(after) - read(before)
  const cpuSeconds = grown((sample) => sample.userSeconds + sample.kernelSeconds)
  const per = (count: number): number | undefined => (count > 0 ? (cpuSeconds * 1e6) / count : undefined)
  const cpuPerReportMicros = per(grown((sample) => sample.reports))
  return {
    table: plan.table,
    name: plan.name,
    load: plan.load,
    seconds,
    coreShare: cpuSeconds / seconds,
    kernelShare: grown((sample) => sample.kernelSeconds) / seconds,
    reportsPerSecond: grown((sample) => sample.reports) / seconds,
    drops: grown((sample) => sample.drops),
    messagesPerSecond: grown((sample) => sample.messages) / seconds,
    mibPerSecond: grown((sample) => sample.bytes) / seconds / 2 ** 20,
    acksPerSecond: grown((sample) => sample.acks) / seconds,
    proxyReportsPerSecond: grown((sample) => sample.proxyReports) / seconds,
    ...(cpuPerReportMicros === undefined ? {} : { cpuPerReportMicros }),
    tickMicros:
      (grown((sample) => sample.tickSeconds) * 1e6) /
      Math.max(
        1,
        grown((sample) => sample.ticks),
      ),
    delayP99Ms: after.delayP99Ms,
    delayMaxMs: after.delayMaxMs,
    rssMib: after.rssMib,
    heapMib: after.heapMib,
  }
}
