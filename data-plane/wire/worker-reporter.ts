/** Tells the primary what this worker holds and counts: changed rows only, and a word each second at least, so that silence means something. */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { Ledger } from '../routing/ledger.ts'
import { packRows } from '../share/rows.ts'
import { VitalSigns } from './vitals.ts'
import type { FromWorker, WorkerReport } from './worker-channel.ts'

export class WorkerReporter {
  readonly #send: (message: FromWorker) => void
  readonly #ledger: Ledger
  readonly #vitals: VitalSigns
  #lastTotals = ''
  #lastAt = Number.NEGATIVE_INFINITY

  constructor(send: (message: FromWorker) => void, ledger: Ledger, turnGrainMs: number) {
    this.#send = send
    this.#ledger = ledger
    this.#vitals = new VitalSigns(turnGrainMs)
  }

  report(sockets: Pick<WorkerReport, 'taken' | 'open'>, totals: WorkerReport['totals'], now: Millis): void {
    const changed = this.#ledger.takeTouched(limits.reportRowsMax).filter((slot) => !slot.gone)
    const text = JSON.stringify(totals)
    if (changed.length === 0 && text === this.#lastTotals && now - this.#lastAt < limits.workerHeartbeat) return
    this.#lastTotals = text
    this.#lastAt = now
    this.#send({ kind: 'report', report: { ...sockets, totals, rows: packRows(changed), vitals: this.#vitals.read() } })
  }

  stop(): void {
    this.#vitals.stop()
  }
}
