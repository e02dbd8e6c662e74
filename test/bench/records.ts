/** What runs leave behind as JSON, and its shape when it is read again: docs pages and charts are made of these files and of nothing else. */
import { z } from 'zod'
import { METRICS } from './statistics.ts'

export const machine = z.object({
  cpu: z.string(),
  cores: z.number(),
  memoryGib: z.number(),
  system: z.string(),
  node: z.string(),
  loadGenerator: z.string(),
})
export type Machine = z.infer<typeof machine>

const values = z.partialRecord(z.enum(METRICS), z.number())
const origin = { at: z.string(), commit: z.string(), machine }

export const comparisonRun = z.object({
  ...origin,
  seconds: z.number(),
  rounds: z.number(),
  peers: z.array(z.object({ name: z.string(), about: z.string(), version: z.string().optional(), absent: z.string().optional() })),
  rows: z.array(z.object({ round: z.number(), scenario: z.string(), peer: z.string(), values, note: z.string().optional() })),
  ratios: z.array(z.object({ scenario: z.string(), peer: z.string(), metric: z.enum(METRICS), ratio: z.number() })),
})
export type ComparisonRun = z.infer<typeof comparisonRun>

const slope = z.object({ kibPerMinute: z.number(), errorKibPerMinute: z.number() })
export type Slope = z.infer<typeof slope>

const memorySample = z.object({ minute: z.number(), rssKib: z.number(), heapKib: z.number(), externalKib: z.number() })
export type MemorySample = z.infer<typeof memorySample>

export const memoryRun = z.object({
  ...origin,
  minutes: z.number(),
  load: z.array(z.string()),
  requests: z.number(),
  messages: z.number(),
  errors: z.number(),
  samples: z.array(memorySample),
  slopes: z.object({ heap: slope, external: slope, rss: slope }),
})
export type MemoryRun = z.infer<typeof memoryRun>

const share = z.object({ subject: z.string(), share: z.number() })
export type Share = z.infer<typeof share>

export const profileRun = z.object({
  ...origin,
  seconds: z.number(),
  scenarios: z.array(
    z.object({
      name: z.string(),
      /** CPU of the worker process in the profiled time. */
      userSeconds: z.number(),
      kernelSeconds: z.number(),
      /** How long it had something to do, on a core or waiting for one. */
      busySeconds: z.number(),
      cpuPerUnitMicros: z.number(),
      unit: z.enum(['request', 'message']),
      shares: z.array(share),
      hottest: z.array(z.object({ where: z.string(), share: z.number() })),
    }),
  ),
})
export type ProfileRun = z.infer<typeof profileRun>

const NUMBER_DIGITS = 6
/** More digits would only look exact. */
const short = (_: string, value: unknown): unknown => (typeof value === 'number' ? Number(value.toPrecision(NUMBER_DIGITS)) : value)

/** One line per row of a list: a reader of a diff sees a measurement, not its braces. */
export function toJson(run: object): string {
  const lines = Object.entries(run).map(([name, value]) => {
    if (!Array.isArray(value) || value.length === 0) return `  ${JSON.stringify(name)}: ${JSON.stringify(value, short)}`
    return `  ${JSON.stringify(name)}: [\n${value.map((one) => `    ${JSON.stringify(one, short)}`).join(',\n')}\n  ]`
  })
  return `{\n${lines.join(',\n')}\n}\n`
}
