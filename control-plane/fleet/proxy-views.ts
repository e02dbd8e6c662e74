/**
 * What proxies say of endpoints: what each holds now, and how attempts ended lately. What a proxy holds is kept per stream, so that one that goes takes
 * its own words with it. A row costs the same however many proxies there are. One owner: the control loop.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { ProxyReport } from '../../proto/gen/millrace/mesh/v1/mesh.ts'

type Row = { inFlight: number; ejected: boolean }
type Counts = { -readonly [Kind in keyof Outcomes]: Outcomes[Kind] }

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
  current: Counts
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
      const view = this.#views.get(endpointId) ?? (known(endpointId) ? this.#begin(endpointId, now) : undefined)
      if (view === undefined) continue
      turn(view, now)
      this.#hold(view, stream, endpointId, inFlight, ejected)
      const { current } = view
      current.successes += Number(successes)
      current.backpressures += Number(backpressures)
      current.failures += Number(failures)
      changed.push(endpointId)
    }
    return changed
  }

  gone(stream: number): readonly string[] {
    const endpoints = [...(this.#endpointsOf.get(stream) ?? [])]
    for (const endpoint of endpoints) {
      const view = this.#views.get(endpoint)
      if (view !== undefined) this.#hold(view, stream, endpoint, 0, false)
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

  /** Within the window somebody was turned away or failed: only then is there anything to judge by outcomes. */
  troubled(endpoint: string, now: Millis): boolean {
    const view = this.#views.get(endpoint)
    if (view === undefined) return false
    turn(view, now)
    const { current, previous } = view
    return current.backpressures + current.failures + previous.backpressures + previous.failures > 0
  }

  /** What ended before says nothing of what comes. */
  startAnew(endpoint: string): void {
    const view = this.#views.get(endpoint)
    if (view !== undefined) Object.assign(view, { current: { ...NO_OUTCOMES }, previous: NO_OUTCOMES })
  }

  #begin(endpoint: string, now: Millis): View {
    const view = { rows: new Map(), inFlight: 0, ejectedBy: 0, span: spanOf(now), current: { ...NO_OUTCOMES }, previous: NO_OUTCOMES }
    this.#views.set(endpoint, view)
    return view
  }

  #hold(view: View, stream: number, endpoint: string, inFlight: number, ejected: boolean): void {
    const row = view.rows.get(stream)
    view.inFlight += inFlight - (row?.inFlight ?? 0)
    view.ejectedBy += Number(ejected) - Number(row?.ejected ?? false)
    // Whoever holds nothing has no row: the table follows work, not proxies times endpoints.
    if (inFlight === 0 && !ejected) {
      if (row === undefined) return
      view.rows.delete(stream)
      this.#endpointsOf.get(stream)?.delete(endpoint)
      return
    }
    if (row !== undefined) {
      row.inFlight = inFlight
      row.ejected = ejected
      return
    }
    view.rows.set(stream, { inFlight, ejected })
    const own = this.#endpointsOf.get(stream)
    if (own === undefined) this.#endpointsOf.set(stream, new Set([endpoint]))
    else own.add(endpoint)
  }
}

const spanOf = (now: Millis): number => Math.floor(now / limits.outcomeWindow)

function turn(view: View, now: Millis): void {
  const span = spanOf(now)
  if (span === view.span) return
  view.previous = span === view.span + 1 ? view.current : NO_OUTCOMES
  view.current = { ...NO_OUTCOMES }
  view.span = span
}
