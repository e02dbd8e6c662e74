/** One look over the endpoints that serve a model: what they can take at once, what this proxy's other workers hold there, and whose own queue is long. */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { Candidates } from '../routing/model-groups.ts'
import type { Pool } from '../routing/pool.ts'
import { SERVING_TIERS } from '../routing/tiered-group.ts'

export type Survey = {
  /** Endpoints of the best tier that has any. */
  readonly serving: number
  /** Their sum; undefined when one of them states none. */
  readonly capacity: number | undefined
  /** Requests of all models. */
  readonly elsewhere: number
  /** Endpoints whose queue a fresh report tells, and those of them whose queue is longer than the headroom explains. */
  readonly known: number
  readonly full: number
}

/** Costs a look at each endpoint of the tier. */
export function survey({ tiers }: Candidates, headroom: number, now: Millis): Survey {
  const pool = tiers.slice(0, SERVING_TIERS).find(({ size }) => size > 0)
  return pool === undefined ? NOBODY : surveyPool(pool, headroom, now)
}

function surveyPool(pool: Pool, headroom: number, now: Millis): Survey {
  let capacity = 0
  let stated = 0
  let elsewhere = 0
  let known = 0
  let full = 0
  for (let at = 0; at < pool.size; at++) {
    const slot = pool.slotAt(at)
    const most = slot.endpoint.capacity
    if (most > 0) stated++
    capacity += most
    elsewhere += slot.elsewhere
    const { load } = slot
    if (load === undefined || load.load.queueDepth === undefined || now - load.sampledAt > limits.loadAgeMax) continue
    known++
    const bound = Math.max(1, most * (headroom - 1))
    // What was reported, and what it is by now as far as this proxy knows.
    if (load.load.queueDepth > bound && load.load.queueDepth + slot.charged - slot.chargedAtSample > bound) full++
  }
  return { serving: pool.size, capacity: stated === pool.size ? capacity : undefined, elsewhere, known, full }
}

const NOBODY: Survey = { serving: 0, capacity: undefined, elsewhere: 0, known: 0, full: 0 }
