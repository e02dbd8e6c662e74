/**
 * Decides which proxies are told which loads in one tick: those that know all rounds before are told this one, the others what they lack, in turns, and
 * whoever lacks nothing hears now and then that what it knows holds. Invariant: a proxy that missed a load, or whose part of the fleet is another one now, is
 * not told that its loads hold before it has what it lacks.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { ControlState, StreamId } from '../state.ts'
import { loadMessages, tellThatLoadsHold } from './delta.ts'
import { LoadBatch } from './load-batch.ts'
import { BUCKETS, GROUPS_MAX } from './load-share.ts'
import type { ProxySession } from './proxy-session.ts'

/** The same bytes to each of the streams. */
export type Push = { readonly streams: readonly StreamId[]; readonly bytes: Uint8Array }
export type Hearer = readonly [StreamId, ProxySession]

/** Pieces of a LoadBatch, who is told them, and whether they hear with them that what they know holds. */
type Told = { readonly chunks: readonly Uint8Array[]; readonly hearers: readonly Hearer[]; readonly hold: boolean }

const BEHIND = -1
const NEVER = 0

export class LoadTelling {
  readonly #state: ControlState
  readonly #now: Millis
  readonly #each: number
  readonly #before: number
  readonly #batch: LoadBatch

  /** `period`: from one round to the next. */
  constructor(state: ControlState, period: Millis, now: Millis) {
    const { loads, loadShares, proxies, snapshot } = state
    this.#state = state
    this.#now = now
    loadShares.retain(proxies)
    this.#each = loadShares.each(snapshot.size, proxies.size)
    this.#before = loads.round
    this.#batch = new LoadBatch(loads.takeDue(period, now, (id) => snapshot.waits(id)))
  }

  /** This round, for each of them; those that lack more than that are told nothing of it here. */
  round(hearers: readonly Hearer[]): readonly Told[] {
    if (hearers.length === 0) return []
    if (this.#batch.size === 0) return [{ chunks: [], hearers, hold: false }]
    const groups = Map.groupBy(hearers, ([stream, session]) => {
      const group = this.#groupOf(stream)
      return session.loads.round === this.#before && session.loads.group === group ? group : BEHIND
    })
    return [...groups].map(([group, some]) => {
      if (group === BEHIND) return { chunks: [], hearers: some, hold: false }
      for (const [, session] of some) session.heardLoads(this.#state.loads.round, group)
      const chunks = this.#piecesOf(this.#batch, group)
      return { chunks, hearers: some, hold: chunks.length > 0 && this.#holdsSoon(some) }
    })
  }

  /** As messages of their own. Nobody waits for the answer to a load, so none is asked for. */
  messages(told: readonly Told[], anew = false): readonly Push[] {
    return told.flatMap(({ chunks, hearers, hold }) => {
      this.#state.counts.loadPushes += chunks.length * hearers.length
      const streams = hearers.map(([stream]) => stream)
      return loadMessages(chunks, this.#state.snapshot.version, { anew, hold }).map((bytes) => ({ streams, bytes }))
    })
  }

  /** What they lack, told to so many in a tick; one can always be told. */
  rest(hearers: readonly Hearer[]): readonly Push[] {
    const { round } = this.#state.loads
    const behind = hearers.filter((hearer) => this.#knows(hearer) !== round)
    let room: number = limits.loadRowsPerTick
    const turns: Hearer[] = []
    for (const hearer of behind) {
      if (room <= 0) break
      const batch = this.#lacks(this.#knows(hearer))
      room -= (batch.size * this.#each) / BUCKETS
      turns.push(hearer)
    }
    const pushes: Push[] = []
    for (const [knows, alike] of Map.groupBy(turns, (hearer) => this.#knows(hearer)))
      for (const [group, some] of Map.groupBy(alike, ([stream]) => this.#groupOf(stream))) {
        pushes.push(...this.messages([{ chunks: this.#piecesOf(this.#lacks(knows), group), hearers: some, hold: false }], knows === NEVER))
        for (const [, session] of some) session.heardLoads(round, group)
      }
    return pushes
  }

  /** Shared by all of them. */
  hold(hearers: readonly Hearer[]): readonly Push[] {
    const { loads, silence, snapshot } = this.#state
    if (!silence.wouldShow(this.#now)) return []
    const due = hearers.filter((hearer) => hearer[1].holdDue(this.#now, limits.loadHoldPeriod) && this.#knows(hearer) === loads.round)
    if (due.length === 0) return []
    this.#toldThatLoadsHold(due)
    return [{ streams: due.map(([stream]) => stream), bytes: tellThatLoadsHold(snapshot.version) }]
  }

  /** A word that would be due within half its period goes with what is told anyway: a message less for each of them. */
  #holdsSoon(hearers: readonly Hearer[]): boolean {
    const [, session] = hearers[0] ?? []
    if (session?.holdDue(this.#now, limits.loadHoldPeriod / 2) !== true || !this.#state.silence.wouldShow(this.#now)) return false
    this.#toldThatLoadsHold(hearers)
    return true
  }

  #toldThatLoadsHold(hearers: readonly Hearer[]): void {
    for (const [, session] of hearers) session.toldThatLoadsHold(this.#now)
    this.#state.counts.loadHolds += hearers.length
  }

  /** The round up to which it knows of its part; one that has another part knows nothing of it. */
  #knows([stream, session]: Hearer): number {
    return session.loads.group === this.#groupOf(stream) ? session.loads.round : NEVER
  }

  /** Kept for a moment: newcomers that take turns are told the same bytes, of which the ages are as old as that. */
  #lacks(since: number): LoadBatch {
    const { loads, lackedLoads } = this.#state
    if (lackedLoads.round !== loads.round || this.#now - lackedLoads.at >= limits.calmPushPeriod) {
      lackedLoads.round = loads.round
      lackedLoads.at = this.#now
      lackedLoads.since.clear()
    }
    const known = lackedLoads.since.get(since)
    if (known !== undefined) return known
    const batch = new LoadBatch(loads.since(since, this.#now))
    lackedLoads.since.set(since, batch)
    return batch
  }

  /** Proxies of one group are told the same. Groups of different sizes are different groups. */
  #groupOf(stream: StreamId): number {
    return this.#each === BUCKETS ? 0 : this.#each * GROUPS_MAX + this.#state.loadShares.groupOf(stream, this.#each)
  }

  #piecesOf(batch: LoadBatch, group: number): readonly Uint8Array[] {
    return this.#each === BUCKETS ? batch.all() : batch.of(this.#state.loadShares.of(group % GROUPS_MAX, this.#each))
  }
}
