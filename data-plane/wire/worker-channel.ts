/** What a primary and its workers say to one another over IPC. */

import type { EndpointTls } from '../../core/mesh-snapshot.ts'
import type { ExplainQuery, ExplainReply } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import type { Batch, LedgerRows } from '../share/rows.ts'
import type { ConnectionRules } from './connection-settings.ts'
import type { FrontOptions } from './front-door.ts'
import type { Vitals } from './vitals.ts'

export type WorkerOptions = {
  readonly nameEndpoints: boolean
  /** Where the proxy stands; may be empty. */
  readonly zone: string
  readonly workers: number
  readonly turnGrainMs: number
  readonly connections: ConnectionRules
}

export type ToWorker =
  | ({ readonly kind: 'start'; readonly rehearse: boolean } & WorkerOptions)
  /** Before the first socket, and again when certificates have changed. */
  | { readonly kind: 'front'; readonly front: FrontOptions }
  /** Before the first endpoint: how those are spoken to that say nothing themselves. */
  | { readonly kind: 'endpoint-tls'; readonly tls: EndpointTls | undefined }
  /** Answered by `applied`, once it is taken in. */
  | { readonly kind: 'batch'; readonly batch: Batch }
  /** Goes with a socket. */
  | { readonly kind: 'connection' }
  /** Answered by `explained` of the same number. */
  | { readonly kind: 'explain'; readonly number: number; readonly query: ExplainQuery }
  | { readonly kind: 'stop' }

export type FromWorker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'applied' }
  | { readonly kind: 'report'; readonly report: WorkerReport }
  | { readonly kind: 'log'; readonly level: 'info' | 'warn' | 'error'; readonly event: string; readonly fields: Record<string, unknown> }
  | { readonly kind: 'explained'; readonly number: number; readonly reply: ExplainReply }
  | { readonly kind: 'drained' }

/** Running totals since the worker started, by metric name; and the ledger's changed rows. */
export type WorkerReport = {
  /** Sockets taken over so far, and open now. */
  readonly taken: number
  readonly open: number
  readonly totals: Readonly<Record<string, number>>
  readonly rows: LedgerRows
  readonly vitals: Vitals
}
