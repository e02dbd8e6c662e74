/**
 * How many requests of a model one worker may have open. The proxy's total is what the model's row says, or what the serving endpoints can take times
 * the headroom; where one of them does not say what it takes, there is no limit. A worker always has its part of the total, and takes over what others leave
 * unused in steps, so that together they stay within it although each hears of the others late.
 * Where the own queues of most endpoints are long, other proxies fill them too: the total shrinks until half of them are short again, and then
 * grows back in smaller steps, so that proxies that know nothing of one another come to equal parts. Not all must be long: of many one is always short.
 * While some are still long it only creeps: what would be too much shows half a second late, and is long in coming undone.
 */
import { assert } from '../../core/assert.ts'
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { Candidates } from '../routing/model-groups.ts'
import { type Survey, survey } from './survey.ts'

export type RoomRules = {
  readonly workers: number
  readonly concurrency: number | undefined
  /** Undefined: what is usual for requests that take as long as these. */
  readonly headroom: number | undefined
}

/** Of the total, each step at most; the least keeps some work coming, by which it is noticed that queues have become shorter. */
const SHRINK = 0.2
const GROW = 0.05
const CREEP = 0.01
const PART_LEAST = 0.02
/** Of the places that come free during a step so many are filled again at least: while a total shrinks a higher band still gets in. */
const REFILL = 0.25

assert(limits.roomPeriod >= 2 * limits.ledgerReportPeriod, 'a worker has heard what others hold before it takes over what they leave')

export class Room {
  /** Infinity: no limit. */
  limit = Number.POSITIVE_INFINITY
  /** The part of the total that long queues leave. */
  part = 1
  #lookAt = millis(0)
  #stepAt = millis(0)

  /** Something has changed: the next question looks anew. */
  forget(): void {
    this.#lookAt = millis(0)
  }

  /** `hold`: how long a request usually keeps its place. `open`: this worker's own. */
  ask(candidates: Candidates, rules: RoomRules, hold: number | undefined, open: number, now: Millis): number {
    if (now < this.#lookAt) return this.limit
    this.#lookAt = millis(now + limits.roomPeriod)
    const headroom = rules.headroom ?? usualHeadroom(hold)
    const found = survey(candidates, headroom, now)
    if (rules.concurrency === undefined) this.#step(found, hold, now)
    else this.part = 1
    const total = rules.concurrency ?? (found.capacity === undefined ? undefined : found.capacity * headroom * this.part)
    this.limit = limitOf(found, total, rules.workers, open)
    return this.limit
  }

  /** Once for each round of reports. */
  #step({ known, full }: Survey, hold: number | undefined, now: Millis): void {
    if (now < this.#stepAt) return
    this.#stepAt = millis(now + limits.reportPeriod)
    const pace = Math.min(1, ((1 - REFILL) * limits.reportPeriod) / (SHRINK * Math.max(1, hold ?? 1)))
    if (2 * full > known) this.part = Math.max(PART_LEAST, this.part * (1 - SHRINK * pace))
    else this.part = Math.min(1, this.part + (full === 0 ? GROW : CREEP * pace))
  }
}

/** Who finds all places taken at an endpoint waits there for about so much of a request's time: of requests that take long a few are enough. */
const usualHeadroom = (hold: number | undefined): number =>
  Math.min(limits.admissionHeadroom, 1 + limits.admissionHeadroomWait / Math.max(1, hold ?? 1))

function limitOf({ serving, elsewhere }: Survey, total: number | undefined, workers: number, open: number): number {
  // Who is asked when nobody serves is not for a queue to say.
  if (serving === 0 || total === undefined) return Number.POSITIVE_INFINITY
  if (workers === 1) return Math.max(1, Math.floor(total))
  const unused = total - elsewhere - open
  return Math.max(1, Math.floor(Math.max(total / workers, open + unused / workers)))
}
