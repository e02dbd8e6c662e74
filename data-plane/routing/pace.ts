/**
 * How many requests per second a server finishes when it is full, learned from its reports: what it finished over the share of its places that were
 * taken meanwhile. A server with little to do finishes little, and is not slow for that; one whose reports do not tell how full it is says something
 * only while requests wait in it.
 */

import { limits } from '../../core/limits.ts'
import type { LoadVector } from '../../core/load-vector.ts'

/** What was seen so long ago counts 1/e. */
const MEMORY_MS = 60_000
/** Fewer than that say nothing: long requests end late, and a young server has not ended any. */
const FINISHED_MIN = 10

export class Pace {
  #finished = 0
  #fullSeconds = 0

  /** `load` stood for so long. */
  note(load: LoadVector, capacity: number, spanMs: number): void {
    const { requestsPerSecond } = load
    const fullness = fullnessOf(load, capacity)
    if (requestsPerSecond === undefined || fullness === undefined || !(spanMs > 0)) return
    const span = Math.min(spanMs, limits.loadAgeMax)
    const kept = MEMORY_MS / (MEMORY_MS + span)
    this.#finished = this.#finished * kept + (requestsPerSecond * span) / 1_000
    this.#fullSeconds = this.#fullSeconds * kept + (fullness * span) / 1_000
  }

  /** Requests per second; undefined while too little was seen. */
  get perSecond(): number | undefined {
    return this.#finished >= FINISHED_MIN && this.#fullSeconds > 0 ? this.#finished / this.#fullSeconds : undefined
  }
}

/** 0..1 */
function fullnessOf({ queueDepth, running }: LoadVector, capacity: number): number | undefined {
  if (queueDepth !== undefined && queueDepth > 0) return 1
  if (running === undefined || capacity === 0) return undefined
  return Math.min(1, running / capacity)
}
