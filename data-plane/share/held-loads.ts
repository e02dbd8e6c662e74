/**
 * The loads that this proxy was told, by whom, and how old each is now. A load is as old as its sample, or as the last word of its teller that what it
 * told holds, whichever is younger; of an endpoint that is silent that word says nothing. Invariant: without such words every load grows old.
 */
import type { LoadRow, LoadsHold } from './rows.ts'

type Told = LoadRow & { readonly at: number }

export class HeldLoads {
  readonly #now: () => number
  readonly #rows = new Map<string, Told>()
  #hold: { readonly teller: number; readonly at: number } | undefined

  /** In ms, by any steady clock. */
  constructor(now: () => number) {
    this.#now = now
  }

  get ids(): Iterable<string> {
    return this.#rows.keys()
  }

  put(row: LoadRow): void {
    this.#rows.set(row.id, { ...row, at: this.#now() })
  }

  /** True when something had been told of it. */
  forget(id: string): boolean {
    return this.#rows.delete(id)
  }

  hold(teller: number): void {
    this.#hold = { teller, at: this.#now() }
  }

  row(id: string, fresh: boolean): LoadRow {
    const told = this.#rows.get(id)
    if (told === undefined) return { id, load: undefined, ageMs: 0, teller: 0 }
    const { load, ageMs, teller, at } = told
    const now = this.#now()
    const age = ageMs + now - at
    const hold = this.#hold
    return { id, load, teller, ageMs: fresh && hold?.teller === teller ? Math.min(age, now - hold.at) : age }
  }

  held(): LoadsHold | undefined {
    return this.#hold && { teller: this.#hold.teller, ageMs: this.#now() - this.#hold.at }
  }
}
