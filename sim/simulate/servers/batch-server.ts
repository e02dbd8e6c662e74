/**
 * A server that batches as vLLM and its kind do. Requests wait first come first served for a slot and for room in the KV cache; one at a time is read
 * (prefill), which gives the first token and slows the others down; those that were read share the decoding, each step yielding a token for every one, the
 * longer the more they are. Each token takes room; when there is none left the youngest loses its place and is read again. Decoding is counted in steps
 * that all running ones share, so nothing is done per token. Invariant: a job waits, is read or runs, never two of these.
 */
import { type Millis, millis } from '../../../core/units.ts'
import type { EndpointLoad } from '../../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { PrefixCache } from './prefix-cache.ts'
import type { Job, Placed, Server, ServerEvents } from './server.ts'

export type BatchRules = {
  readonly slots: number
  readonly queueMax: number
  /** Room of the KV cache. */
  readonly kvTokens: number
  readonly prefillTokensPerSecond: number
  /** Of a step: with nobody in it, and more for each. */
  readonly stepMs: number
  readonly stepMsPerRequest: number
  /** Of prompts that nobody runs any more, kept to be read no second time. */
  readonly cacheTokens: number
}

/** While a prompt is read the others get so much of the GPU. */
export const DECODE_WHILE_READING = 0.5
/** Nobody is let in above it, so that those who run have room to grow. */
const ROOM_TO_START = 0.95

type Work<J> = {
  readonly job: J
  state: 'waiting' | 'reading' | 'running' | 'over'
  /** Tokens that it was answered with before it lost its place. */
  done: number
  /** The step that yields its last token, and the one at which it began to run. */
  lastStep: number
  firstStep: number
}

export class BatchServer<J extends Job> implements Server<J> {
  readonly #rules: BatchRules
  readonly #events: ServerEvents<J>
  readonly #cache: PrefixCache
  readonly #works = new Map<J, Work<J>>()
  readonly #waiting: Work<J>[] = []
  readonly #running: Work<J>[] = []
  #reading: { readonly work: Work<J>; left: number } | undefined
  #at = 0
  /** Steps made since the beginning, with fractions. */
  #steps = 0
  #kv = 0
  #speed = 1
  readonly #meter = { at: 0, tokens: 0, ends: 0 }

  constructor(rules: BatchRules, events: ServerEvents<J>) {
    this.#rules = rules
    this.#events = events
    this.#cache = new PrefixCache(rules.cacheTokens)
  }

  get slots(): number {
    return this.#rules.slots
  }

  offer(job: J, now: Millis): Placed {
    if (this.#waiting.length >= this.#rules.queueMax) return 'refused'
    this.#progress(now)
    const work: Work<J> = { job, state: 'waiting', done: 0, lastStep: 0, firstStep: 0 }
    this.#works.set(job, work)
    this.#waiting.push(work)
    this.#fill()
    return 'taken'
  }

  cancel(job: J, now: Millis): void {
    const work = this.#works.get(job)
    if (work === undefined) return
    this.#progress(now)
    if (work.state === 'waiting') this.#waiting.splice(this.#waiting.indexOf(work), 1)
    else this.#release(work)
    this.#works.delete(job)
    work.state = 'over'
    this.#fill()
  }

  setSpeed(factor: number, now: Millis): void {
    this.#progress(now)
    this.#speed = factor
  }

  crash(now: Millis): readonly J[] {
    const jobs = [...this.#works.keys()]
    this.#works.clear()
    this.#waiting.length = 0
    this.#running.length = 0
    this.#reading = undefined
    this.#kv = 0
    this.#at = now
    this.#cache.clear()
    return jobs
  }

  nextAt(): number {
    if (this.#speed === 0) return Number.POSITIVE_INFINITY
    const read = this.#reading === undefined ? Number.POSITIVE_INFINITY : this.#at + this.#reading.left / this.#readingRate
    const [first] = this.#running
    if (first === undefined) return read
    const rate = this.#stepRate
    const room = this.#alone ? Number.POSITIVE_INFINITY : Math.max(0, this.#rules.kvTokens - this.#kv) / this.#running.length
    return Math.min(read, this.#at + Math.min(Math.max(0, first.lastStep - this.#steps), room) / rate)
  }

  advance(now: Millis): void {
    for (let at = this.nextAt(); at <= now; at = this.nextAt()) {
      this.#progress(at)
      this.#turn()
    }
    this.#progress(now)
  }

  load(now: Millis): EndpointLoad {
    this.advance(now)
    const { at, tokens, ends } = this.#meter
    const seconds = (now - at) / 1000
    Object.assign(this.#meter, { at: now, tokens: 0, ends: 0 })
    return {
      queueDepth: this.#waiting.length,
      running: this.#running.length + (this.#reading === undefined ? 0 : 1),
      kvCacheUse: Math.min(1, this.#kv / this.#rules.kvTokens),
      tokensPerS: seconds > 0 ? tokens / seconds : 0,
      requestsPerS: seconds > 0 ? ends / seconds : 0,
    }
  }

  /** Whoever is alone has all the room that there is, and goes on without more. */
  get #alone(): boolean {
    return this.#running.length + (this.#reading === undefined ? 0 : 1) === 1
  }

  /** Tokens in a millisecond. */
  get #readingRate(): number {
    return (this.#speed * this.#rules.prefillTokensPerSecond) / 1000
  }

  /** Steps in a millisecond. */
  get #stepRate(): number {
    const { stepMs, stepMsPerRequest } = this.#rules
    const share = this.#reading === undefined ? 1 : DECODE_WHILE_READING
    return (this.#speed * share) / (stepMs + stepMsPerRequest * this.#running.length)
  }

  #progress(to: number): void {
    const span = to - this.#at
    if (span <= 0) return
    if (this.#running.length > 0) {
      const steps = span * this.#stepRate
      this.#steps += steps
      this.#kv += steps * this.#running.length
      this.#meter.tokens += steps * this.#running.length
    }
    if (this.#reading !== undefined) this.#reading.left -= span * this.#readingRate
    this.#at = to
  }

  /** Whatever is due at this moment. */
  #turn(): void {
    const first = this.#running[0]
    if (this.#reading !== undefined && this.#reading.left <= EPSILON) this.#onRead(this.#reading.work)
    else if (first !== undefined && first.lastStep - this.#steps <= EPSILON) this.#onLast(first)
    else if (!this.#alone && this.#kv >= this.#rules.kvTokens - EPSILON * this.#running.length) this.#preempt()
    this.#fill()
  }

  #onRead(work: Work<J>): void {
    const { job, done } = work
    this.#reading = undefined
    this.#cache.keep(job.prompt, job.prompt.tokens + done)
    this.#meter.tokens++
    const first = done === 0
    work.done = Math.max(1, done)
    work.state = 'running'
    work.firstStep = this.#steps
    work.lastStep = this.#steps + job.outputTokens - work.done
    insert(this.#running, work)
    if (first) this.#events.onFirstToken(job, millis(this.#at))
    if (job.outputTokens <= 1) this.#onLast(work)
  }

  #onLast(work: Work<J>): void {
    const { job } = work
    this.#release(work)
    work.state = 'over'
    this.#works.delete(job)
    this.#cache.keep(job.prompt, job.prompt.tokens + job.outputTokens)
    this.#meter.ends++
    this.#events.onEnd(job, millis(this.#at))
  }

  /** The youngest is to be read again, with what it was answered so far, as soon as there is room. */
  #preempt(): void {
    let youngest = this.#running[0]
    for (const work of this.#running) if (youngest === undefined || work.firstStep > youngest.firstStep) youngest = work
    if (youngest === undefined) return
    const decoded = Math.floor(this.#steps - youngest.firstStep)
    this.#release(youngest)
    youngest.done += decoded
    youngest.state = 'waiting'
    this.#waiting.unshift(youngest)
  }

  #release(work: Work<J>): void {
    if (work.state === 'reading') {
      this.#reading = undefined
      this.#kv -= work.job.prompt.tokens + work.done
    } else if (work.state === 'running') {
      this.#running.splice(this.#running.indexOf(work), 1)
      this.#kv -= work.job.prompt.tokens + work.done + (this.#steps - work.firstStep)
    }
    if (this.#running.length === 0 && this.#reading === undefined) this.#kv = 0
  }

  #fill(): void {
    const [next] = this.#waiting
    if (this.#reading !== undefined || next === undefined || this.#running.length >= this.#rules.slots) return
    const size = next.job.prompt.tokens + next.done
    if (this.#running.length > 0 && this.#kv + size > ROOM_TO_START * this.#rules.kvTokens) return
    this.#waiting.shift()
    next.state = 'reading'
    this.#kv += size
    this.#reading = { work: next, left: size - this.#cache.hit(next.job.prompt) }
  }
}

/** Of a token: moments are computed in fractions. */
const EPSILON = 1e-6

/** Soonest last step first; a batch is short. */
function insert<J>(running: Work<J>[], work: Work<J>): void {
  let at = running.length
  while (at > 0 && (running[at - 1] as Work<J>).lastStep > work.lastStep) at--
  running.splice(at, 0, work)
}
