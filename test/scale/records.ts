/** What a run leaves behind as JSON; the page is made of it and of nothing else. */
import { z } from 'zod'
import { machine } from '../bench/records.ts'
import { TABLES } from './plans.ts'

const load = z.object({
  nodes: z.number(),
  moving: z.number(),
  flapsPerSecond: z.number(),
  clients: z.number(),
  rows: z.number(),
})

export const scaleRow = z.object({
  table: z.enum(TABLES),
  name: z.string(),
  load,
  seconds: z.number(),
  /** CPU time of the control plane, of one core; what the kernel did of that. */
  coreShare: z.number(),
  kernelShare: z.number(),
  reportsPerSecond: z.number(),
  drops: z.number(),
  messagesPerSecond: z.number(),
  mibPerSecond: z.number(),
  acksPerSecond: z.number(),
  proxyReportsPerSecond: z.number(),
  cpuPerReportMicros: z.number().optional(),
  tickMicros: z.number(),
  delayP99Ms: z.number(),
  delayMaxMs: z.number(),
  rssMib: z.number(),
  heapMib: z.number(),
})
export type ScaleRow = z.infer<typeof scaleRow>

export const latencyRow = z.object({
  name: z.string(),
  load,
  /** Who was told: mesh clients, or proxies as processes. */
  listeners: z.string(),
  samples: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
  maxMs: z.number(),
})
export type LatencyRow = z.infer<typeof latencyRow>

export const scaleRun = z.object({
  at: z.string(),
  commit: z.string(),
  machine,
  spans: z.object({ warmSeconds: z.number(), seconds: z.number() }),
  rows: z.array(scaleRow),
  latency: z.array(latencyRow),
})
export type ScaleRun = z.infer<typeof scaleRun>
