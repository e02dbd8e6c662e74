/** What one worker knows of one endpoint by itself: its charges, its evidence, and the last report. Outlives snapshots; the ledger alone writes the charges. */
import type { DatedLoad, LoadVector } from '../../core/load-vector.ts'
import type { Endpoint } from '../../core/mesh-snapshot.ts'
import type { Millis } from '../../core/units.ts'
import type { AwayReason, OutlierReason } from './away.ts'
import { ChargeHistory } from './charge-history.ts'
import { OthersWork } from './others-work.ts'
import { Pace } from './pace.ts'
import { PeakEwma } from './peak-ewma.ts'

export class EndpointSlot {
  endpoint: Endpoint
  /** Open upstream attempts of this worker. */
  inFlight = 0
  /** Cancelled, and perhaps still at work on the endpoint. */
  burning = 0
  /** Of those in flight, the ones whose answer has not begun. */
  unanswered = 0
  /** Open attempts and burning of this proxy's other workers, and how many of those are unanswered. */
  elsewhere = 0
  unansweredElsewhere = 0
  load: DatedLoad | undefined
  /** What the teller told, while `load` holds younger words of the server's own. */
  #told: LoadVector | undefined
  /** Who told the load; 0 is nobody whose word that it holds would count. */
  teller = 0
  /** What this proxy held against it when the load's sample was taken. */
  chargedAtSample = 0
  /** What its reports taught: how fast it works, and what others hold against it. */
  readonly pace = new Pace()
  readonly others = new OthersWork()
  /** From an attempt's start to the first byte of its answer, as this worker saw it. */
  readonly firstByte = new PeakEwma()
  /** This proxy saw its connections fail: others come first until a fresh connection succeeds. */
  ejected = false
  /** Its answers speak against it: others come first until its time is over. */
  outlier: OutlierReason | undefined
  failuresInRow = 0
  /** How its latest answers ended: 1 all well, 0 all refused or failed. */
  goodness = 1
  /** The part of its weight that it is worth by that, in steps. */
  trust = 1
  /** The part of its weight that it gets while it comes back from having been an outlier. */
  ramp = 1
  /** What is wrong between this proxy and it, in words that a caller may read; empty when nothing is known to be. */
  trouble = ''
  /** How often its server was lost, or came to serve other models: what it had in memory before is gone. */
  lives = 0
  /** How far it is (zones.ts). The routing table says so. */
  level = 0
  /** No snapshot names it any more. */
  gone = false
  /** How often it came to another place in the routing table, for whoever remembers it from an earlier one. */
  moves = 0
  /** The ledger has it on its list of changed rows. */
  touched = false
  successes = 0
  backpressures = 0
  failures = 0
  /** Of those to whom nothing was ever sent there is none. */
  #history: ChargeHistory | undefined

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint
  }

  get id(): string {
    return this.endpoint.id
  }

  /** Requests that this proxy holds against the endpoint. */
  get charged(): number {
    return this.inFlight + this.burning + this.elsewhere
  }

  /** Of these, the ones whose answer has not begun: they wait, or are being read. */
  get unbegun(): number {
    return this.unanswered + this.unansweredElsewhere
  }

  /** Why this worker keeps away from it. */
  get awayFor(): AwayReason | undefined {
    return this.ejected ? 'connection' : this.outlier
  }

  /** It gets less than its weight says, and waits for a draw of its own. */
  get restrained(): boolean {
    return this.endpoint.slowStart !== undefined || this.ramp < 1 || this.trust < 1
  }

  /** Before any of the charges changes. */
  noteCharge(now: Millis): void {
    this.#history ??= new ChargeHistory()
    this.#history.note(this.charged, now)
  }

  holdElsewhere(charged: number, unanswered: number, now: Millis): void {
    this.noteCharge(now)
    this.elsewhere = charged
    this.unansweredElsewhere = unanswered
  }

  /** Undefined: not known. */
  report(load: DatedLoad | undefined, teller = 0): void {
    const before = this.load
    if (before !== undefined && load !== undefined) this.#notePace(before, load.sampledAt)
    this.load = load
    this.#told = undefined
    this.teller = teller
    if (load === undefined) this.others.forget()
    else this.#noteOthers(load, before?.sampledAt)
  }

  /** What this teller told of its load was still so at that time: as good as if it had been told again. Nobody knows that of one that is silent. */
  loadHolds(teller: number, at: Millis): void {
    const { load } = this
    if (load === undefined || this.teller !== teller || this.endpoint.freshness !== 'fresh' || at <= load.sampledAt) return
    this.report({ load: this.#told ?? load.load, sampledAt: at }, teller)
  }

  /** What the server itself told with an answer: younger than any report. A part that says nothing of the queue makes what was known of it no younger. */
  reportInBand(part: LoadVector, at: Millis): void {
    const before = this.load
    this.#told ??= before?.load ?? {}
    const load = { load: { ...before?.load, ...part }, sampledAt: part.queueDepth === undefined ? (before?.sampledAt ?? at) : at }
    if (before !== undefined) this.#notePace(before, load.sampledAt)
    this.load = load
    if (part.queueDepth !== undefined) this.#noteOthers(load, before?.sampledAt)
  }

  /** `load` stood until then. */
  #notePace({ load, sampledAt }: DatedLoad, until: Millis): void {
    this.pace.note(load, this.endpoint.capacity, until - sampledAt)
  }

  #noteOthers({ load, sampledAt }: DatedLoad, before: Millis | undefined): void {
    this.chargedAtSample = this.#history?.heldAt(sampledAt, this.charged) ?? this.charged
    this.others.note(load, this.chargedAtSample, before === undefined ? Number.POSITIVE_INFINITY : sampledAt - before)
  }
}
