/**
 * Decides when the simulated server runs what: `slots` jobs at once, the others wait first come first served up to `queueMax`, then refused. A running
 * job yields its tokens one after another: the first after prefill, each further one after the token time, both with seeded jitter. Invariants: a job is
 * running, waiting or unknown, never two of these; a slot that is freed goes to the longest waiting job in the same step; all time is an argument.
 */
import { type Millis, millis } from '../../core/units.ts'

export type QueueRules = {
  readonly slots: number
  readonly queueMax: number
  readonly prefill: Millis
  readonly token: Millis
  /** 0..1: each span is drawn from span × (1 ± jitter). */
  readonly jitter: number
  /** Every span takes this many times as long; 1 is usual. */
  readonly factor: number
  /** A running job that has yielded this many tokens yields no more, until the rules change. */
  readonly stallAfter?: number
}

export type Placed = 'running' | 'waiting' | 'refused'
export type DueToken<Job> = { readonly job: Job; readonly index: number; readonly last: boolean }

/** An entry of the heap. One that yields again after a pause gets a new entry, so that a stale one is known by its identity. */
type Running<Job> = { readonly job: Job; readonly tokens: number; next: number; at: Millis; pause: 'none' | 'held' | 'stalled' }

export class SlotQueue<Job> {
  /** Requests that nobody sent: they only make the queue look deep, to whoever reads its depth. */
  phantoms = 0
  #rules: QueueRules
  readonly #draw: () => number
  readonly #onStart: (job: Job, at: Millis) => void
  readonly #running = new Map<Job, Running<Job>>()
  /** Job → its number of tokens, in order of arrival. */
  readonly #waiting = new Map<Job, number>()
  readonly #heap = new DueHeap<Job>()

  constructor(rules: QueueRules, draw: () => number, onStart: (job: Job, at: Millis) => void) {
    this.#rules = rules
    this.#draw = draw
    this.#onStart = onStart
  }

  get rules(): QueueRules {
    return this.#rules
  }

  /** Spans that have begun keep their length; stalled jobs go on as the new rules say. */
  changeRules(rules: QueueRules, now: Millis): void {
    this.#rules = rules
    for (const one of [...this.#running.values()]) if (one.pause === 'stalled') this.#goOn(one, now)
    this.#fill(now)
  }

  get running(): number {
    return this.#running.size
  }

  get queued(): number {
    return this.#waiting.size + this.phantoms
  }

  offer(job: Job, tokens: number, now: Millis): Placed {
    if (this.#running.size < this.#rules.slots) {
      this.#start(job, tokens, now)
      return 'running'
    }
    if (this.queued >= this.#rules.queueMax) return 'refused'
    this.#waiting.set(job, tokens)
    return 'waiting'
  }

  /** False when the job is not here (any more). */
  cancel(job: Job, now: Millis): boolean {
    if (this.#waiting.delete(job)) return true
    if (!this.#running.delete(job)) return false
    this.#fill(now)
    return true
  }

  /** The job keeps its slot and yields nothing until `resume`. */
  hold(job: Job): void {
    const one = this.#running.get(job)
    if (one !== undefined) one.pause = 'held'
  }

  resume(job: Job, now: Millis): void {
    const one = this.#running.get(job)
    if (one?.pause === 'held') this.#goOn(one, now)
  }

  /** The tokens that are due, in order of time; a job that yields its last one is gone and its slot is taken. */
  *due(now: Millis): Generator<DueToken<Job>> {
    for (let one = this.#soonest(); one !== undefined && one.at <= now; one = this.#soonest()) {
      this.#heap.pop()
      if (one.next >= (this.#rules.stallAfter ?? Number.POSITIVE_INFINITY)) {
        one.pause = 'stalled'
        continue
      }
      const index = one.next++
      const last = one.next >= one.tokens
      if (last) {
        this.#running.delete(one.job)
        this.#fill(one.at)
      } else {
        one.at = millis(one.at + this.#span(this.#rules.token))
        this.#heap.push(one)
      }
      yield { job: one.job, index, last }
    }
  }

  /** When `due` has something to do next. */
  nextAt(): Millis | undefined {
    return this.#soonest()?.at
  }

  #soonest(): Running<Job> | undefined {
    for (let one = this.#heap.peek(); one !== undefined; one = this.#heap.peek()) {
      if (one.pause === 'none' && this.#running.get(one.job) === one) return one
      this.#heap.pop()
    }
    return undefined
  }

  #goOn(one: Running<Job>, now: Millis): void {
    const again: Running<Job> = { ...one, pause: 'none', at: one.at < now ? now : one.at }
    this.#running.set(one.job, again)
    this.#heap.push(again)
  }

  #start(job: Job, tokens: number, now: Millis): void {
    const one: Running<Job> = { job, tokens, next: 0, at: millis(now + this.#span(this.#rules.prefill)), pause: 'none' }
    this.#running.set(job, one)
    this.#heap.push(one)
    this.#onStart(job, now)
  }

  #fill(now: Millis): void {
    for (const [job, tokens] of this.#waiting) {
      if (this.#running.size >= this.#rules.slots) return
      this.#waiting.delete(job)
      this.#start(job, tokens, now)
    }
  }

  #span(usual: Millis): number {
    return usual * this.#rules.factor * (1 + this.#rules.jitter * (2 * this.#draw() - 1))
  }
}

/** A binary heap by time. An entry that was held or cancelled stays until it comes up: taking it out of the middle would cost more. */
class DueHeap<Job> {
  readonly #items: Running<Job>[] = []

  peek(): Running<Job> | undefined {
    return this.#items[0]
  }

  push(item: Running<Job>): void {
    const items = this.#items
    let at = items.push(item) - 1
    while (at > 0) {
      const up = (at - 1) >> 1
      const parent = items[up]
      if (parent === undefined || parent.at <= item.at) break
      items[at] = parent
      at = up
    }
    items[at] = item
  }

  pop(): void {
    const items = this.#items
    const moved = items.pop()
    if (moved === undefined || items.length === 0) return // it was the only one
    let at = 0
    for (let child = 1; child < items.length; child = 2 * at + 1) {
      const right = items[child + 1]
      let least = items[child]
      if (least !== undefined && right !== undefined && right.at < least.at) {
        least = right
        child += 1
      }
      if (least === undefined || least.at >= moved.at) break
      items[at] = least
      at = child
    }
    items[at] = moved
  }
}

/** Seeded draws in 0..1 (mulberry32): the same seed plays the same server. */
export function seededDraw(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
