/**
 * The model server of this repository on virtual time: the very queue that its process runs, token by token. It is there to be compared with the process.
 */
import { type Millis, millis } from '../../../core/units.ts'
import type { EndpointLoad } from '../../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { type QueueRules, SlotQueue } from '../../model-server/queue.ts'
import type { Job, Placed, Server, ServerEvents } from './server.ts'

export type SlotRules = Pick<QueueRules, 'slots' | 'queueMax' | 'prefill' | 'token' | 'jitter'>

export class SlotServer<J extends Job> implements Server<J> {
  readonly #rules: SlotRules
  readonly #events: ServerEvents<J>
  readonly #draw: () => number
  #jobs = new Set<J>()
  #queue: SlotQueue<J>
  #factor = 1
  readonly #meter = { at: 0, ends: 0 }

  constructor(rules: SlotRules, events: ServerEvents<J>, draw: () => number) {
    this.#rules = rules
    this.#events = events
    this.#draw = draw
    this.#queue = this.#newQueue()
  }

  get slots(): number {
    return this.#rules.slots
  }

  offer(job: J, now: Millis): Placed {
    const placed = this.#queue.offer(job, job.outputTokens, now)
    if (placed === 'refused') return 'refused'
    this.#jobs.add(job)
    return 'taken'
  }

  cancel(job: J, now: Millis): void {
    if (this.#jobs.delete(job)) this.#queue.cancel(job, now)
  }

  /** Spans that have begun keep their length, also when it is to stand still: nothing begins then. */
  setSpeed(factor: number, now: Millis): void {
    this.#factor = factor === 0 ? STANDS_STILL : 1 / factor
    this.#queue.changeRules(this.#queueRules, now)
  }

  crash(): readonly J[] {
    const jobs = [...this.#jobs]
    this.#jobs = new Set()
    this.#queue = this.#newQueue()
    return jobs
  }

  nextAt(): number {
    return this.#queue.nextAt() ?? Number.POSITIVE_INFINITY
  }

  advance(now: Millis): void {
    for (let at = this.#queue.nextAt(); at !== undefined && at <= now; at = this.#queue.nextAt())
      for (const { job, index, last } of this.#queue.due(at)) {
        if (index === 0) this.#events.onFirstToken(job, at)
        if (!last) continue
        this.#jobs.delete(job)
        this.#meter.ends++
        this.#events.onEnd(job, at)
      }
  }

  /** What its page, which is Triton's, tells. */
  load(now: Millis): EndpointLoad {
    this.advance(now)
    const seconds = (now - this.#meter.at) / 1000
    const requestsPerS = seconds > 0 ? this.#meter.ends / seconds : 0
    Object.assign(this.#meter, { at: now, ends: 0 })
    return { queueDepth: this.#queue.queued, requestsPerS }
  }

  get #queueRules(): QueueRules {
    return { ...this.#rules, factor: this.#factor }
  }

  #newQueue(): SlotQueue<J> {
    return new SlotQueue<J>(this.#queueRules, this.#draw, () => {})
  }
}

/** A span this many times as long outlasts any run. */
const STANDS_STILL = 1e9

export const slotRules = (slots: number, queueMax: number, prefillMs: number, tokenMs: number, jitter: number): SlotRules => ({
  slots,
  queueMax,
  prefill: millis(prefillMs),
  token: millis(tokenMs),
  jitter,
})
