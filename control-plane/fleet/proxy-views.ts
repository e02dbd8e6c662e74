/**
 * What proxies say of endpoints: what each holds now, and how attempts ended lately. What a proxy holds is kept per stream, so that one that goes takes
 * its own words with it. A row costs the same however many proxies there are. One owner: the control loop.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { ProxyReport } from '../../proto/gen/millrace/mesh/v1/mesh.ts'

type Row = { readonly inFlight: number; readonly ejected: boolean }

/** How attempts ended within the window, over all proxies. Backpressure is the word of a server that lives. */
export type Outcomes = { readonly successes: number; readonly backpressures: number; readonly failures: number }

export const NO_OUTCOMES: Outcomes = { successes: 0, backpressures: 0, failures: 0 }

export type ProxyOpinion = { /** Over all proxies. */ readonly inFlight: number; readonly ejectedBy: number }

type View = {
  readonly rows: Map<number, Row>
  inFlight: number
  ejectedBy: number
  /** Which span `current` counts; `previous` is the one before. */
  span: number
  current: Outcomes
  previous: Outcomes
}

const plus = (a: Outcomes, b: Outcomes): Outcomes => ({
  successes: a.successes + b.successes,
  backpressures: a.backpressures + b.backpressures,
  failures: a.failures + b.failures,
})

export class ProxyViews {
  readonly #views = new Map<string, View>()
  readonly #endpointsOf = new Map<number, Set<string>>()

  /** Names the endpoints whose row changed. Endpoints that this control plane does not know are passed over: a peer cannot grow the table. */
  report(stream: number, report: ProxyReport, known: (endpoint: string) => boolean, now: Millis): readonly string[] {
    const changed: string[] = []
    for (const { endpointId, inFlight, ejected, successes, backpressures, failures } of report.endpoints) {
      if (!known(endpointId)) continue
      const view = this.#view(endpointId, now)
      this.#hold(view, stream, endpointId, { inFlight, ejected })
      view.current = plus(view.current, {
        successes: Number(successes),
        backpressures: Number(backpressures),
        failures: Number(failures),
      })
      changed.push(endpointId)
    }
    return changed
  }

  gone(stream: number): readonly string[] {
    const endpoints = [...(this.#endpointsOf.get(stream) ?? [])]
    for (const endpoint of endpoints) {
      const view = this.#views.get(endpoint)
      if (view !== undefined) this.#hold(view, stream, endpoint, { inFlight: 0, ejected: false })
    }
    this.#endpointsOf.delete(stream)
    return endpoints
  }

  forget(endpoint: string): void {
    for (const stream of this.#views.get(endpoint)?.rows.keys() ?? []) this.#endpointsOf.get(stream)?.delete(endpoint)
    this.#views.delete(endpoint)
  }

  of(endpoint: string): ProxyOpinion {
    const view = this.#views.get(endpoint)
    return { inFlight: view?.inFlight ?? 0, ejectedBy: view?.ejectedBy ?? 0 }
  }

  outcomes(endpoint: string, now: Millis): Outcomes {
    const view = this.#views.get(endpoint)
    if (view === undefined) return NO_OUTCOMES
    turn(view, now)
    return plus(view.current, view.previous)
  }

  /** What ended before says nothing of what comes. */
  startAnew(endpoint: string): void {
    const view = this.#views.get(endpoint)
    if (view !== undefined) Object.assign(view, { current: NO_OUTCOMES, previous: NO_OUTCOMES })
  }

  #view(endpoint: string, now: Millis): View {
    const known = this.#views.get(endpoint)
    if (known !== undefined) {
      turn(known, now)
      return known
    }
    const view = { rows: new Map(), inFlight: 0, ejectedBy: 0, span: spanOf(now), current: NO_OUTCOMES, previous: NO_OUTCOMES }
    this.#views.set(endpoint, view)
    return view
  }

  #hold(view: View, stream: number, endpoint: string, row: Row): void {
    const before = view.rows.get(stream)
    view.inFlight += row.inFlight - (before?.inFlight ?? 0)
    view.ejectedBy += Number(row.ejected) - Number(before?.ejected ?? false)
    // Whoever holds nothing has no row: the table follows work, not proxies times endpoints.
    if (row.inFlight === 0 && !row.ejected) {
      view.rows.delete(stream)
      this.#endpointsOf.get(stream)?.delete(endpoint)
      return
    }
    view.rows.set(stream, row)
    const own = this.#endpointsOf.get(stream) ?? new Set()
    this.#endpointsOf.set(stream, own.add(endpoint))
  }
}

const spanOf = (now: Millis): number => Math.floor(now / limits.outcomeWindow)

function turn(view: View, now: Millis): void {
  const span = spanOf(now)
  if (span === view.span) return
  view.previous = span === view.span + 1 ? view.current : NO_OUTCOMES
  view.current = NO_OUTCOMES
  view.span = span
}
