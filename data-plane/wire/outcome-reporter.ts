/** Tells the control plane once a second what this proxy holds against each endpoint and how its attempts ended; changed rows only. */
import type { EndpointRow } from '../share/rows.ts'
import type { MeshClient } from './mesh-client.ts'
import type { Primary } from './primary.ts'

const PERIOD_MS = 1_000
/** In one message, and one turn. */
const ROWS_MAX = 500

export class OutcomeReporter {
  readonly #primary: Primary
  readonly #mesh: MeshClient
  readonly #told = new Map<string, EndpointRow>()
  readonly #timer: NodeJS.Timeout

  constructor(primary: Primary, mesh: MeshClient) {
    this.#primary = primary
    this.#mesh = mesh
    this.#timer = setInterval(() => this.#report(), PERIOD_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Of endpoints that are no more. */
  forget(ids: readonly string[]): void {
    for (const id of ids) this.#told.delete(id)
  }

  #report(): void {
    if (!this.#mesh.connected) return
    const rows = this.#primary.sums.takeUntold(ROWS_MAX)
    const changed = rows.filter((row) => isNews(row, this.#told.get(row.id)))
    if (changed.length > 0) this.#mesh.report(changed.map((row) => this.#tell(row)))
    if (rows.length === ROWS_MAX) setImmediate(() => this.#report())
  }

  #tell(row: EndpointRow): Parameters<MeshClient['report']>[0][number] {
    const told = this.#told.get(row.id)
    this.#told.set(row.id, row)
    return {
      endpointId: row.id,
      inFlight: row.inFlight,
      // An endpoint that left and came back begins at zero again; what was told of it is not taken back.
      successes: since(row.successes, told?.successes),
      backpressures: since(row.backpressures, told?.backpressures),
      failures: since(row.failures, told?.failures),
      ejected: row.ejected,
    }
  }
}

const isNews = (row: EndpointRow, told: EndpointRow | undefined): boolean =>
  told === undefined ||
  row.inFlight !== told.inFlight ||
  row.ejected !== told.ejected ||
  row.successes + row.backpressures + row.failures !== told.successes + told.backpressures + told.failures

const since = (now: number, before = 0): bigint => BigInt(Math.max(0, now - before))
