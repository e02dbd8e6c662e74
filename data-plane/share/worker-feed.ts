/**
 * What one worker has not heard yet. Only names are kept and the newest is told, so what waits is bounded by the fleet however slow the worker is;
 * one batch at a time is under way, so that a worker takes in ten thousand endpoints between requests, some in each turn.
 * Invariant: what breaks is told after all that makes, and after the models and routes that go with it.
 */
import { limits } from '../../core/limits.ts'
import type { Endpoint } from '../../core/mesh-snapshot.ts'
import type { PictureHead } from '../routing/routing-table.ts'
import type { Change } from './picture.ts'
import type { Batch, LoadRow, LoadsHold } from './rows.ts'

/** How things stand now. */
export type FeedSource = {
  endpoint(id: string): Endpoint | undefined
  head(): PictureHead
  load(id: string): LoadRow
  loadsHold(): LoadsHold | undefined
  elsewhere(id: string): readonly [charged: number, unanswered: number]
}

export class WorkerFeed {
  /** More of the same change is to come: what breaks waits for it. */
  held = false
  readonly #makes = new Set<string>()
  readonly #breaks = new Set<string>()
  readonly #loads = new Set<string>()
  readonly #charges = new Set<string>()
  #head = false
  #hold = false
  #unanswered = false
  #picture: 'owed' | 'told' | 'known' = 'owed'

  /** It has taken in a whole picture, at some time. */
  get knowsAll(): boolean {
    return this.#picture === 'known'
  }

  changed(id: string, how: Change): void {
    if (how === 'same') return
    // The worker may still hold what a break that waits takes away; one that was to leave and stays is news like any other.
    if (how === 'breaks' || this.#breaks.has(id)) {
      this.#makes.delete(id)
      this.#breaks.add(id)
    } else this.#makes.add(id)
  }

  headChanged(): void {
    this.#head = true
  }

  loaded(id: string): void {
    this.#loads.add(id)
  }

  /** What it was told of loads holds; said when it has heard all else, since a load that moved meanwhile does not. */
  loadsHold(): void {
    this.#hold = true
  }

  charged(id: string): void {
    this.#charges.add(id)
  }

  /** The worker has taken the batch in. */
  answered(): void {
    this.#unanswered = false
    if (this.#picture === 'told') this.#picture = 'known'
  }

  /** What to tell it now; undefined when nothing waits, or it has not answered yet. */
  take(source: FeedSource): Batch | undefined {
    if (this.#unanswered || this.#nothingWaits()) return undefined
    const upserts: Endpoint[] = []
    const removed: string[] = []
    let head: PictureHead | undefined
    let room = move(this.#makes, limits.feedRowsMax, (id) => tell(source.endpoint(id), id, upserts, removed))
    if (room > 0 && this.#head) {
      this.#head = false
      head = source.head()
    }
    if (room > 0 && !this.held) room = move(this.#breaks, room, (id) => tell(source.endpoint(id), id, upserts, removed))
    const loads: LoadRow[] = []
    const elsewhere: (readonly [string, number, number])[] = []
    // Of an endpoint that the worker has heard of.
    if (this.#makes.size === 0) {
      move(this.#loads, limits.feedLoadsMax, (id) => loads.push(source.load(id)))
      move(this.#charges, limits.feedLoadsMax, (id) => elsewhere.push([id, ...source.elsewhere(id)]))
    }
    const hold = this.#takeHold(source)
    if (upserts.length + removed.length + loads.length + elsewhere.length === 0 && head === undefined && hold === undefined)
      return undefined
    this.#unanswered = true
    if (this.#picture === 'owed' && this.#makes.size === 0 && !this.#head) this.#picture = 'told'
    return { upserts, head, removed, loads, hold, elsewhere }
  }

  #takeHold(source: FeedSource): LoadsHold | undefined {
    if (!this.#hold || this.#makes.size + this.#breaks.size + this.#loads.size > 0) return undefined
    this.#hold = false
    return source.loadsHold()
  }

  #nothingWaits(): boolean {
    const breaks = this.held ? 0 : this.#breaks.size
    return this.#makes.size + breaks + this.#loads.size + this.#charges.size === 0 && !this.#head && !this.#hold
  }
}

function tell(endpoint: Endpoint | undefined, id: string, upserts: Endpoint[], removed: string[]): void {
  if (endpoint === undefined) removed.push(id)
  else upserts.push(endpoint)
}

/** Answers how much room is left. */
function move(from: Set<string>, room: number, to: (id: string) => void): number {
  if (room <= 0) return 0
  for (const id of from) {
    from.delete(id)
    to(id)
    if (--room === 0) break
  }
  return room
}
