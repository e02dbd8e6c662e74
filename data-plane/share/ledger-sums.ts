/**
 * The workers' ledgers added up, endpoint by endpoint, at a cost that follows what changed. A counter never falls: what a worker counted stays when it
 * dies; what it held open is nobody's any more. Endpoints beyond a bound are shown as one, since each that is shown costs every reader of a page.
 */
import { limits } from '../../core/limits.ts'
import { COLUMNS, type EndpointRow, type LedgerRows } from './rows.ts'

class Account {
  inFlight = 0
  burning = 0
  successes = 0
  backpressures = 0
  failures = 0
  /** Workers that keep away from it. */
  ejected = 0
  /** Of those in flight. */
  unanswered = 0

  get charged(): number {
    return this.inFlight + this.burning
  }

  add(
    inFlight: number,
    burning: number,
    successes: number,
    backpressures: number,
    failures: number,
    ejected: number,
    unanswered: number,
  ): void {
    this.inFlight += inFlight
    this.burning += burning
    this.successes += successes
    this.backpressures += backpressures
    this.failures += failures
    this.ejected += ejected
    this.unanswered += unanswered
  }
}

/** What one worker said last of each endpoint. */
export type WorkerAccounts = Map<string, Account>

/** `before`: what had been counted under all others when it got a row of its own; that row begins at zero. */
type Sum = { readonly account: Account; shown: boolean; before: Account | undefined }

export class LedgerSums {
  readonly #sums = new Map<string, Sum>()
  readonly #others = new Account()
  readonly #untold = new Set<string>()
  readonly #shown = new Set<string>()
  readonly #unshown = new Set<string>()

  /** How many endpoints have no row of their own. */
  get unshown(): number {
    return this.#unshown.size
  }

  know(id: string): void {
    if (this.#sums.has(id)) return
    const shown = this.#shown.size < limits.endpointSeriesMax
    if (shown) this.#shown.add(id)
    else this.#unshown.add(id)
    this.#sums.set(id, { account: new Account(), shown, before: undefined })
  }

  /** No picture names them any more. */
  forget(ids: readonly string[], workers: readonly WorkerAccounts[]): void {
    for (const id of ids) {
      const sum = this.#sums.get(id)
      if (sum === undefined) continue
      if (!sum.shown) this.#leaveOthers(sum)
      this.#sums.delete(id)
      this.#shown.delete(id)
      this.#unshown.delete(id)
      this.#untold.delete(id)
      for (const accounts of workers) accounts.delete(id)
    }
    this.#showMore()
  }

  /** A worker's changed rows; answers the endpoints on which it holds more or less than before. */
  take(worker: WorkerAccounts, { ids, numbers }: LedgerRows): readonly string[] {
    const recharged: string[] = []
    for (const [row, id] of ids.entries()) {
      const sum = this.#sums.get(id)
      if (sum === undefined) continue
      let own = worker.get(id)
      if (own === undefined) {
        own = new Account()
        worker.set(id, own)
      }
      const at = row * COLUMNS
      const { charged, unanswered } = own
      this.#add(
        id,
        sum,
        own,
        (numbers[at] as number) - own.inFlight,
        (numbers[at + 1] as number) - own.burning,
        (numbers[at + 2] as number) - own.successes,
        (numbers[at + 3] as number) - own.backpressures,
        (numbers[at + 4] as number) - own.failures,
        (numbers[at + 5] as number) - own.ejected,
        (numbers[at + 6] as number) - own.unanswered,
      )
      if (own.charged !== charged || own.unanswered !== unanswered) recharged.push(id)
    }
    return recharged
  }

  /** The worker is gone; answers the endpoints on which it held something. */
  bury(worker: WorkerAccounts): readonly string[] {
    const recharged: string[] = []
    for (const [id, own] of worker) {
      const sum = this.#sums.get(id)
      if (sum === undefined) continue
      if (own.charged > 0) recharged.push(id)
      this.#add(id, sum, own, -own.inFlight, -own.burning, 0, 0, 0, -own.ejected, -own.unanswered)
    }
    worker.clear()
    return recharged
  }

  /** What the proxy holds against an endpoint beyond what this worker does. */
  elsewhere(id: string, worker: WorkerAccounts): readonly [charged: number, unanswered: number] {
    const all = this.#sums.get(id)?.account
    const own = worker.get(id)
    return [(all?.charged ?? 0) - (own?.charged ?? 0), (all?.unanswered ?? 0) - (own?.unanswered ?? 0)]
  }

  /** Endpoints on which something runs. */
  *chargedIds(): Iterable<string> {
    for (const [id, { account }] of this.#sums) if (account.charged > 0) yield id
  }

  /** Endpoints with a row of their own. */
  *rows(): Iterable<EndpointRow> {
    for (const id of this.#shown) {
      const sum = this.#sums.get(id)
      if (sum !== undefined) yield rowOf(id, sum.account, sum.before)
    }
  }

  /** All others as one; `ejected` counts. */
  get others(): Omit<EndpointRow, 'id' | 'ejected'> & { readonly ejected: number } {
    return this.#others
  }

  /** Rows that changed since they were last taken; the rest waits. */
  takeUntold(most: number): readonly EndpointRow[] {
    const rows: EndpointRow[] = []
    for (const id of this.#untold) {
      if (rows.length === most) break
      this.#untold.delete(id)
      const sum = this.#sums.get(id)
      if (sum !== undefined) rows.push(rowOf(id, sum.account, undefined))
    }
    return rows
  }

  /** What it holds is not theirs any more; what was counted with them stays theirs, so that no counter falls. */
  #leaveOthers({ account }: Sum): void {
    this.#others.add(-account.inFlight, -account.burning, 0, 0, 0, -account.ejected, -account.unanswered)
  }

  /** Once for all that were forgotten: to find the first of a set that has lost many costs as much as those it lost. */
  #showMore(): void {
    if (this.#shown.size >= limits.endpointSeriesMax) return
    for (const id of this.#unshown) {
      const sum = this.#sums.get(id)
      this.#unshown.delete(id)
      if (sum === undefined) continue
      this.#shown.add(id)
      this.#leaveOthers(sum)
      sum.before = new Account()
      sum.before.add(0, 0, sum.account.successes, sum.account.backpressures, sum.account.failures, 0, 0)
      sum.shown = true
      if (this.#shown.size >= limits.endpointSeriesMax) return
    }
  }

  #add(id: string, sum: Sum, own: Account, a: number, b: number, c: number, d: number, e: number, f: number, g: number): void {
    own.add(a, b, c, d, e, f, g)
    sum.account.add(a, b, c, d, e, f, g)
    if (!sum.shown) this.#others.add(a, b, c, d, e, f, g)
    this.#untold.add(id)
  }
}

const rowOf = (id: string, account: Account, before: Account | undefined): EndpointRow => ({
  id,
  inFlight: account.inFlight,
  burning: account.burning,
  successes: account.successes - (before?.successes ?? 0),
  backpressures: account.backpressures - (before?.backpressures ?? 0),
  failures: account.failures - (before?.failures ?? 0),
  ejected: account.ejected > 0,
})
