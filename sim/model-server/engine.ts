/**
 * The simulated model at work: the queue on real time, with one timer for all its jobs, and the counts of what became of them. Every job ends once,
 * with its last token or by `cancel`; after that nothing of it is called.
 */
import type { Clock } from '../../core/clock.ts'
import type { Millis } from '../../core/units.ts'
import type { Behaviour } from './behaviour.ts'
import { type QueueRules, SlotQueue } from './queue.ts'
import { newTally, type Tally } from './tally.ts'

export type Job = {
  readonly model: string
  readonly tokens: number
  onToken(index: number, last: boolean): void
  /** The server misbehaves here: the job is over without its last token, and whoever brought it breaks the stream. */
  onBreak(mode: 'reset' | 'drop'): void
}

export type Counts = {
  readonly running: number
  readonly queued: number
  readonly started: number
  readonly finished: number
  readonly cancelled: number
  readonly refused: number
  readonly tokens: number
  /** Milliseconds since 1970, to compare with another process of this host; absent before the first. */
  readonly lastCancelAt?: number
}

type Times = { readonly arrived: Millis; started?: Millis }

export class Engine {
  readonly tallies: ReadonlyMap<string, Tally>
  readonly #usual: QueueRules
  readonly #clock: Clock
  readonly #queue: SlotQueue<Job>
  readonly #times = new Map<Job, Times>()
  #behaviour: Behaviour
  #timer: NodeJS.Timeout | undefined
  #timerAt = Number.POSITIVE_INFINITY
  #tokens = 0
  #refused = 0
  #cancelled = 0
  #lastCancelAt: number | undefined

  constructor(models: readonly string[], rules: QueueRules, behaviour: Behaviour, clock: Clock, draw: () => number) {
    this.tallies = new Map(models.map((model) => [model, newTally()]))
    this.#usual = rules
    this.#clock = clock
    this.#queue = new SlotQueue(rules, draw, (job, at) => this.#onStart(job, at))
    this.#behaviour = behaviour
    this.behave(behaviour)
  }

  get behaviour(): Behaviour {
    return this.#behaviour
  }

  behave(behaviour: Behaviour): void {
    this.#behaviour = behaviour
    const slow = behaviour.mode === 'slow' ? { factor: behaviour.factor } : {}
    const stall = behaviour.mode === 'stall' ? { stallAfter: behaviour.afterTokens } : {}
    this.#queue.changeRules({ ...this.#usual, ...slow, ...stall }, this.#clock.now())
    this.#arm()
  }

  set phantoms(depth: number) {
    this.#queue.phantoms = depth
  }

  /** False when the queue is full: the job is refused and never called. */
  submit(job: Job): boolean {
    const now = this.#clock.now()
    this.#times.set(job, { arrived: now })
    const placed = this.#behaviour.mode === 'queue-full' ? 'refused' : this.#queue.offer(job, job.tokens, now)
    if (placed === 'refused') {
      this.#times.delete(job)
      this.#refused++
      this.#tally(job).rejected++
      return false
    }
    this.#arm()
    return true
  }

  cancel(job: Job): void {
    const now = this.#clock.now()
    if (!this.#queue.cancel(job, now)) return
    this.#times.delete(job)
    this.#cancelled++
    this.#lastCancelAt = performance.timeOrigin + now
    this.#tally(job).cancelled++
    this.#arm()
  }

  /** For a reader that does not keep up: its job pauses, and its slot stays taken. */
  hold(job: Job): void {
    this.#queue.hold(job)
  }

  resume(job: Job): void {
    this.#queue.resume(job, this.#clock.now())
    this.#arm()
  }

  counts(): Counts {
    const sum = (of: (tally: Tally) => number): number => [...this.tallies.values()].reduce((total, tally) => total + of(tally), 0)
    return {
      running: this.#queue.running,
      queued: this.#queue.queued,
      started: sum((tally) => tally.executions),
      finished: sum((tally) => tally.success),
      cancelled: this.#cancelled,
      refused: this.#refused,
      tokens: this.#tokens,
      ...(this.#lastCancelAt === undefined ? {} : { lastCancelAt: this.#lastCancelAt }),
    }
  }

  /** What waits, by model; phantoms are the first model's. */
  pending(): Map<string, number> {
    const pending = new Map<string, number>()
    for (const [job, times] of this.#times) if (times.started === undefined) pending.set(job.model, (pending.get(job.model) ?? 0) + 1)
    const [first] = this.tallies.keys()
    if (first !== undefined) pending.set(first, (pending.get(first) ?? 0) + this.#queue.phantoms)
    return pending
  }

  close(): void {
    clearTimeout(this.#timer)
  }

  #tally(job: Job): Tally {
    const tally = this.tallies.get(job.model)
    if (tally === undefined) throw new Error(`no model ${job.model}`)
    return tally
  }

  #onStart(job: Job, at: Millis): void {
    const times = this.#times.get(job)
    if (times !== undefined) {
      times.started = at
      this.#tally(job).queueMs += at - times.arrived
    }
    this.#tally(job).executions++
  }

  #arm(): void {
    const at = this.#queue.nextAt() ?? Number.POSITIVE_INFINITY
    if (at >= this.#timerAt) return
    clearTimeout(this.#timer)
    this.#timerAt = at
    this.#timer = setTimeout(() => this.#turn(), Math.max(0, at - this.#clock.now()))
  }

  #turn(): void {
    this.#timerAt = Number.POSITIVE_INFINITY
    const { mode, afterTokens } = this.#behaviour
    for (const { job, index, last } of this.#queue.due(this.#clock.now())) {
      if ((mode === 'reset' || mode === 'drop') && index >= afterTokens) {
        this.#break(job, mode)
        continue
      }
      this.#tokens++
      if (last) this.#settle(job)
      job.onToken(index, last)
    }
    this.#arm()
  }

  #break(job: Job, mode: 'reset' | 'drop'): void {
    this.#queue.cancel(job, this.#clock.now())
    this.#times.delete(job)
    this.#tally(job).broken++
    job.onBreak(mode)
  }

  #settle(job: Job): void {
    const times = this.#times.get(job)
    this.#times.delete(job)
    if (times?.started === undefined) return
    const now = this.#clock.now()
    const tally = this.#tally(job)
    tally.success++
    tally.requestMs += now - times.arrived
    tally.computeMs += now - times.started
  }
}
