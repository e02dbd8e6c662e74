/** Decides the weight of an endpoint relative to its peers: the product of factors that each have a name, so that anyone can ask why. */
import type { EndpointState } from '../../core/mesh-snapshot.ts'
import type { Millis } from '../../core/units.ts'
import type { EndpointRecord } from '../fleet/node-record.ts'
import { slowStartFactor } from './slow-start.ts'

/** What an endpoint weighs that says nothing of its size. */
const PLAIN_WEIGHT = 100

/** No new request is meant for these; a proxy that has nothing else does as its own rules say. */
const WITHOUT_SHARE: readonly EndpointState[] = ['STARTING', 'DRAINING', 'FAILED']

export type Weighed = { readonly weight: number; readonly factors: Readonly<Record<string, number>> }

export function weigh({ report, gpus, liveness }: EndpointRecord, state: EndpointState, now: Millis): Weighed {
  const size = report.capacity !== undefined && report.capacity > 0 ? report.capacity : Math.max(1, gpus.total)
  const factors = {
    capacity: PLAIN_WEIGHT * size,
    gpus: gpus.total === 0 ? 1 : gpus.usable / gpus.total,
    slow_start: slowStartFactor(liveness, now),
    state: WITHOUT_SHARE.includes(state) ? 0 : 1,
  }
  const weight = factors.capacity * factors.gpus * factors.slow_start * factors.state
  return { weight: Math.round(weight * 1000) / 1000, factors }
}

/** Requests that the endpoint takes at once with the GPUs it has left; 0 is unknown. */
export function usableCapacity({ report, gpus }: EndpointRecord): number {
  if (report.capacity === undefined || report.capacity === 0) return 0
  return gpus.total === 0 ? report.capacity : Math.max(1, Math.floor((report.capacity * gpus.usable) / gpus.total))
}
