/**
 * How many requests of a model one worker may have open. The proxy's total is what the model's row says, or what the serving endpoints can take times
 * the headroom; where one of them does not say what it takes, there is no limit. A worker always has its part of the total, and takes over what others leave
 * unused in steps, so that together they stay within it although each hears of the others late.
 * Where endpoints' own queues are long everywhere, other proxies fill them too: the total shrinks until one queue is short again, and then
 * grows back in smaller steps, so that proxies that know nothing of one another come to equal parts.
 */
import { assert } from '../../core/assert.ts'
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { Candidates } from '../routing/model-groups.ts'
import { type Survey, survey } from './survey.ts'

export type RoomRules = { readonly concurrency: number | undefined; readonly headroom: number }

/** Of the total, each step; the least keeps some work coming, by which it is noticed that queues have become shorter. */
const SHRINK = 0.8
const GROW = 0.05
const PART_LEAST = 0.02

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

  /** `open`: this worker's own. */
  ask(candidates: Candidates, rules: RoomRules, workers: number, open: number, now: Millis): number {
    if (now < this.#lookAt) return this.limit
    this.#lookAt = millis(now + limits.roomPeriod)
    const found = survey(candidates, rules.headroom, now)
    if (rules.concurrency === undefined) this.#step(found, now)
    else this.part = 1
    this.limit = limitOf(found, rules, workers, open, this.part)
    return this.limit
  }

  /** Once for each round of reports. */
  #step({ known, full }: Survey, now: Millis): void {
    if (now < this.#stepAt) return
    this.#stepAt = millis(now + limits.reportPeriod)
    const long = known > 0 && full === known
    this.part = long ? Math.max(PART_LEAST, this.part * SHRINK) : Math.min(1, this.part + GROW)
  }
}

function limitOf({ serving, capacity, elsewhere }: Survey, rules: RoomRules, workers: number, open: number, part: number): number {
  const total = rules.concurrency ?? (capacity === undefined ? undefined : capacity * rules.headroom * part)
  // Who is asked when nobody serves is not for a queue to say.
  if (serving === 0 || total === undefined) return Number.POSITIVE_INFINITY
  if (workers === 1) return Math.max(1, Math.floor(total))
  const unused = total - elsewhere - open
  return Math.max(1, Math.floor(Math.max(total / workers, open + unused / workers)))
}
