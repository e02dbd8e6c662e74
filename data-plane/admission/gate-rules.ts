/** A model's row of admission as one worker keeps to it: what is bounded for the proxy is divided among its workers. */
import { limits } from '../../core/limits.ts'
import type { Admission } from '../../core/mesh-snapshot.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { RoomRules } from './room.ts'
import type { LineBounds } from './waiting-line.ts'

export type GateRules = RoomRules & {
  readonly bounds: LineBounds
  readonly waitMax: Millis
  readonly priorityKey: string | undefined
  /** Highest first, at least one. */
  readonly bands: readonly string[]
  readonly tenantKey: string | undefined
  weightOf(tenant: string): number
  /** Where a request belongs that says so of itself, by name or by number. */
  bandOf(said: string | undefined): number
}

const ONE_BAND: readonly string[] = ['default']

export function gateRules(row: Admission, workers: number): GateRules {
  const bands = row.bands ?? ONE_BAND
  const weights = new Map(Object.entries(row.weights ?? {}))
  const usual = row.defaultBand === undefined ? bands.length - 1 : bands.indexOf(row.defaultBand)
  const part = (total: number): number => (total === 0 ? 0 : Math.max(1, Math.floor(total / workers)))
  return {
    workers,
    concurrency: row.concurrency,
    headroom: row.headroom,
    bounds: { requests: part(row.queueMax ?? limits.queueUsual), bytes: part(row.queueBytesMax ?? limits.queueBytesUsual) },
    waitMax: millis(row.maxWaitMs ?? limits.queueWaitUsual),
    priorityKey: row.priorityKey,
    bands,
    tenantKey: row.tenantKey,
    weightOf: (tenant) => weights.get(tenant) ?? 1,
    bandOf(said) {
      if (said === undefined) return usual
      const named = bands.indexOf(said)
      if (named >= 0) return named
      return /^\d{1,2}$/.test(said) && Number(said) < bands.length ? Number(said) : usual
    },
  }
}
