/**
 * What happens when, in virtual time: a binary heap in flat arrays, so that millions of moments leave nothing to collect. Invariant: of two moments at the
 * same time the one that was planned first comes first, so the same seed plays the same run.
 */
import { type Millis, millis } from '../../../core/units.ts'

const CAPACITY_FIRST = 1024

export class Timeline {
  /** The moment that came up last. */
  now: Millis = millis(0)
  kind = 0
  /** Of whom; what it counts is the kind's own affair. */
  who = 0
  /** Moments that came up. */
  passed = 0
  #size = 0
  #planned = 0
  #at = new Float64Array(CAPACITY_FIRST)
  #order = new Float64Array(CAPACITY_FIRST)
  #kind = new Uint8Array(CAPACITY_FIRST)
  #who = new Int32Array(CAPACITY_FIRST)

  get size(): number {
    return this.#size
  }

  /** What lies in the past comes up next. */
  plan(at: number, kind: number, who: number): void {
    if (this.#size === this.#at.length) this.#grow()
    let hole = this.#size++
    const order = this.#planned++
    while (hole > 0) {
      const up = (hole - 1) >> 1
      if ((this.#at[up] as number) <= at) break
      this.#move(up, hole)
      hole = up
    }
    this.#put(hole, at, order, kind, who)
  }

  /** False when nothing is planned any more. */
  next(): boolean {
    if (this.#size === 0) return false
    this.now = millis(Math.max(this.now, this.#at[0] as number))
    this.kind = this.#kind[0] as number
    this.who = this.#who[0] as number
    this.passed++
    const last = --this.#size
    if (last > 0) this.#sink(last)
    return true
  }

  /** The last entry takes the place of the first and sinks to where it belongs. */
  #sink(last: number): void {
    const at = this.#at[last] as number
    const order = this.#order[last] as number
    let hole = 0
    for (let child = 1; child < last; child = 2 * hole + 1) {
      if (child + 1 < last && this.#before(child + 1, child)) child++
      const [childAt, childOrder] = [this.#at[child] as number, this.#order[child] as number]
      if (at < childAt || (at === childAt && order < childOrder)) break
      this.#move(child, hole)
      hole = child
    }
    this.#put(hole, at, order, this.#kind[last] as number, this.#who[last] as number)
  }

  #before(one: number, other: number): boolean {
    const [a, b] = [this.#at[one] as number, this.#at[other] as number]
    return a < b || (a === b && (this.#order[one] as number) < (this.#order[other] as number))
  }

  #move(from: number, to: number): void {
    this.#at[to] = this.#at[from] as number
    this.#order[to] = this.#order[from] as number
    this.#kind[to] = this.#kind[from] as number
    this.#who[to] = this.#who[from] as number
  }

  #put(place: number, at: number, order: number, kind: number, who: number): void {
    this.#at[place] = at
    this.#order[place] = order
    this.#kind[place] = kind
    this.#who[place] = who
  }

  #grow(): void {
    const size = 2 * this.#at.length
    const grown = <T extends Float64Array | Uint8Array | Int32Array>(into: T, from: T): T => {
      into.set(from)
      return into
    }
    this.#at = grown(new Float64Array(size), this.#at)
    this.#order = grown(new Float64Array(size), this.#order)
    this.#kind = grown(new Uint8Array(size), this.#kind)
    this.#who = grown(new Int32Array(size), this.#who)
  }
}
