/** What every routing policy is: a choice among endpoints that may all serve the request. Pure; the draw and the time come in. */
import type { PolicyName } from '../../core/mesh-snapshot.ts'
import type { Millis } from '../../core/units.ts'
import type { EndpointSlot } from './endpoint-slot.ts'
import { leastRequest } from './least-request.ts'
import { leastWait } from './least-wait.ts'
import type { Pool } from './pool.ts'
import { roundRobin } from './round-robin.ts'

export type Policy = {
  readonly name: PolicyName
  /** The pool is not empty. `draw` answers a number in [0, 1). */
  choose(pool: Pool, draw: () => number, now: Millis): EndpointSlot
}

/** A policy may hold a cursor, so each model gets its own. */
export function createPolicy(name: PolicyName): Policy {
  switch (name) {
    case 'LEAST_WAIT':
      return { name, choose: leastWait }
    case 'LEAST_REQUEST':
      return { name, choose: leastRequest }
    case 'ROUND_ROBIN':
      return { name, choose: roundRobin() }
    default:
      return name satisfies never
  }
}
