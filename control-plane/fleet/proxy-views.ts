/** What proxies say of endpoints, kept per stream so that a proxy that goes takes its own words with it. One owner: the control loop. */
import type { ProxyReport } from '../../proto/gen/millrace/mesh/v1/mesh.ts'

type Row = { readonly inFlight: number; readonly ejected: boolean }

export type ProxyOpinion = { /** Over all proxies. */ readonly inFlight: number; readonly ejectedBy: number }

export class ProxyViews {
  readonly #byEndpoint = new Map<string, Map<number, Row>>()
  readonly #endpointsOf = new Map<number, Set<string>>()

  /** Names the endpoints whose row changed. Endpoints that this control plane does not know are passed over: a peer cannot grow the table. */
  report(stream: number, report: ProxyReport, known: (endpoint: string) => boolean): readonly string[] {
    const changed: string[] = []
    const own = this.#endpointsOf.get(stream) ?? new Set<string>()
    this.#endpointsOf.set(stream, own)
    for (const { endpointId, inFlight, ejected } of report.endpoints) {
      if (!known(endpointId)) continue
      const rows = this.#byEndpoint.get(endpointId) ?? new Map<number, Row>()
      this.#byEndpoint.set(endpointId, rows)
      rows.set(stream, { inFlight, ejected })
      own.add(endpointId)
      changed.push(endpointId)
    }
    return changed
  }

  gone(stream: number): readonly string[] {
    const endpoints = [...(this.#endpointsOf.get(stream) ?? [])]
    for (const endpoint of endpoints) {
      const rows = this.#byEndpoint.get(endpoint)
      rows?.delete(stream)
      if (rows?.size === 0) this.#byEndpoint.delete(endpoint)
    }
    this.#endpointsOf.delete(stream)
    return endpoints
  }

  forget(endpoint: string): void {
    for (const stream of this.#byEndpoint.get(endpoint)?.keys() ?? []) this.#endpointsOf.get(stream)?.delete(endpoint)
    this.#byEndpoint.delete(endpoint)
  }

  of(endpoint: string): ProxyOpinion {
    const rows = [...(this.#byEndpoint.get(endpoint)?.values() ?? [])]
    return { inFlight: rows.reduce((sum, row) => sum + row.inFlight, 0), ejectedBy: rows.filter((row) => row.ejected).length }
  }
}
