/** What a worker counts of its requests, and what it says of one that ended badly. */
import type { Reason } from '../../core/mesh-error.ts'
import type { Target } from '../routing/resolve-model.ts'
import { SignalAges } from '../routing/signal-ages.ts'

export type Complaint = {
  readonly path: string
  readonly model: string
  readonly status: number
  readonly detail: string
  readonly attempts: number
  readonly endpoints: readonly string[]
}

/** Counted over all requests of a worker, for the metrics page. */
export type RequestTally = {
  requests: number
  open: number
  retries: number
  /** Second attempts beside a first, and those that went on alone. */
  hedges: number
  hedgesWon: number
  messagesOut: number
  firstMessageTimeouts: number
  /** Attempts that took longer than their model's row allows. */
  slowAttempts: number
  /** Loads that servers told with their answers. */
  loadsInBand: number
  loadsUnreadable: number
  /** Requests of models whose rows say where they go, by why they went there; a fall-back counts beside what was meant first. */
  aimed: Record<Target['why'], number>
  /** Copies of requests, by how they ended; `skipped` are those that could not be sent. */
  shadows: Record<'ok' | 'failed' | 'cancelled' | 'skipped', number>
  /** How old the loads were by which endpoints were chosen. */
  signals: SignalAges
  byStatus: number[]
  refusals: Partial<Record<Reason, number>>
}

export const newRequestTally = (): RequestTally => ({
  requests: 0,
  open: 0,
  retries: 0,
  hedges: 0,
  hedgesWon: 0,
  messagesOut: 0,
  firstMessageTimeouts: 0,
  slowAttempts: 0,
  loadsInBand: 0,
  loadsUnreadable: 0,
  aimed: { asked: 0, alias: 0, split: 0, fallback: 0 },
  shadows: { ok: 0, failed: 0, cancelled: 0, skipped: 0 },
  signals: new SignalAges(),
  byStatus: new Array(17).fill(0),
  refusals: {},
})
