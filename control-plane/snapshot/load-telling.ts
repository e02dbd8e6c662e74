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

/** Pieces of a LoadBatch, and who is told them. */
type Told = readonly [chunks: readonly Uint8Array[], hearers: readonly Hearer[]]

const BEHIND = -1
const NEVER = 0

export class LoadTelling {
  readonly #state: ControlState
  readonly #now: Millis
  readonly #each: number
  readonly #before: number
  readonly #batch: LoadBatch

  constructor(state: ControlState, now: Millis) {
    const { loads, loadShares, proxies, snapshot } = state
    this.#state = state
    this.#now = now
    loadShares.retain(proxies)
    this.#each = loadShares.each(snapshot.size, proxies.size)
    this.#before = loads.round
    this.#batch = new LoadBatch(loads.takeDue(now, (id) => snapshot.waits(id)))
  }

  /** This round, for each of them; those that lack more than that are told nothing of it here. */
  round(hearers: readonly Hearer[]): readonly Told[] {
    if (hearers.length === 0) return []
    if (this.#batch.size === 0) return [[[], hearers]]
    const groups = Map.groupBy(hearers, ([stream, session]) => {
      const group = this.#groupOf(stream)
      return session.loads.round === this.#before && session.loads.group === group ? group : BEHIND
    })
    return [...groups].map(([group, some]) => {
      if (group === BEHIND) return [[], some]
      for (const [, session] of some) session.heardLoads(this.#state.loads.round, group)
      return [this.#piecesOf(this.#batch, group), some]
    })
  }

  /** As messages of their own. Nobody waits for the answer to a load, so none is asked for. */
  messages(told: readonly Told[], anew = false): readonly Push[] {
    return told.flatMap(([chunks, hearers]) => {
      this.#state.counts.loadPushes += chunks.length * hearers.length
      const streams = hearers.map(([stream]) => stream)
      return loadMessages(chunks, this.#state.snapshot.version, anew).map((bytes) => ({ streams, bytes }))
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
        pushes.push(...this.messages([[this.#piecesOf(this.#lacks(knows), group), some]], knows === NEVER))
        for (const [, session] of some) session.heardLoads(round, group)
      }
    return pushes
  }

  /** Shared by all of them. */
  hold(hearers: readonly Hearer[]): readonly Push[] {
    const { loads, silence, snapshot } = this.#state
    if (!silence.wouldShow(this.#now)) return []
    const due = hearers.filter((hearer) => hearer[1].holdDue(this.#now) && this.#knows(hearer) === loads.round)
    if (due.length === 0) return []
    for (const [, session] of due) session.toldThatLoadsHold(this.#now)
    this.#state.counts.loadHolds += due.length
    return [{ streams: due.map(([stream]) => stream), bytes: tellThatLoadsHold(snapshot.version) }]
  }

  /** The round up to which it knows of its part; one that has another part knows nothing of it. */
  #knows([stream, session]: Hearer): number {
    return session.loads.group === this.#groupOf(stream) ? session.loads.round : NEVER
  }

  /** Kept for a moment: newcomers that take turns are told the same bytes, of which the ages are as old as that. */
  #lacks(since: number): LoadBatch {
    const { loads, lackedLoads } = this.#state
    if (lackedLoads.round !== loads.round || this.#now - lackedLoads.at >= limits.loadPushPeriod) {
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
