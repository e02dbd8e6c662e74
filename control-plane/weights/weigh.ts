/** Decides the weight of an endpoint relative to its peers: the product of factors that each have a name, so that anyone can ask why. */
import { limits } from '../../core/limits.ts'
import type { EndpointState } from '../../core/mesh-snapshot.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { DerivedState } from '../fleet/endpoint-state.ts'
import type { GpuShare } from '../fleet/gpu-share.ts'
import { type Damped, nextRiseAt, stepDamped, WHOLE } from './damp.ts'
import { nextStepAt, slowStartFactor } from './slow-start.ts'

/** What an endpoint weighs that says nothing of its size. */
const PLAIN_WEIGHT = 100

/** No new request is meant for these; a proxy that has nothing else does as its own rules say. */
const WITHOUT_SHARE: readonly EndpointState[] = ['STARTING', 'DRAINING', 'FAILED']

export type ToWeigh = {
  /** Requests that it takes at once, as its agent was told; unknown is undefined or 0. */
  readonly capacity: number | undefined
  readonly gpus: Pick<GpuShare, 'total' | 'usable' | 'factor'>
  readonly derived: Pick<DerivedState, 'state' | 'panic'>
  /** When it became ready; undefined for one that may carry its full weight. */
  readonly warmingSince: Millis | undefined
}

/** What is remembered of an endpoint's factors from one weighing to the next. */
export type Damping = { readonly share: Damped; readonly speed: Damped }

export type Weighed = {
  readonly weight: number
  readonly factors: Readonly<Record<string, number>>
  readonly damping: Damping | undefined
  /** When it weighs something else by the passing of time alone. */
  readonly nextAt: Millis | undefined
}

export function weigh({ capacity, gpus, derived, warmingSince }: ToWeigh, before: Damping | undefined, now: Millis): Weighed {
  const size = capacity !== undefined && capacity > 0 ? capacity : Math.max(1, gpus.total)
  const shareNow = gpus.total === 0 ? 1 : gpus.usable / gpus.total
  const held = derived.state === 'READY' || derived.state === 'BUSY'
  // Whoever gets no share, or a small one, has nothing to flutter: when it comes back slow start does the rest.
  const damping = held ? before : undefined
  const share = stepDamped(damping?.share ?? WHOLE, shareNow, now)
  const speed = stepDamped(damping?.speed ?? WHOLE, gpus.factor, now)
  const factors = {
    capacity: PLAIN_WEIGHT * size,
    gpus: round(share.value),
    gpu_health: round(speed.value),
    slow_start: derived.state === 'PROBATION' ? limits.slowStartFloor : slowStartFactor(warmingSince, now),
    state: WITHOUT_SHARE.includes(derived.state) && derived.panic !== 'may' ? 0 : 1,
  }
  const weight = factors.capacity * factors.gpus * factors.gpu_health * factors.slow_start * factors.state
  const nextAt = held ? soonest(nextRiseAt(share, shareNow), nextRiseAt(speed, gpus.factor), nextStepAt(warmingSince, now)) : undefined
  return { weight: round(weight), factors, damping: held && (share.value < 1 || speed.value < 1) ? { share, speed } : undefined, nextAt }
}

const round = (value: number): number => Math.round(value * 1000) / 1000

const soonest = (...times: readonly (Millis | undefined)[]): Millis | undefined => {
  const known = times.filter((at) => at !== undefined)
  return known.length === 0 ? undefined : millis(Math.min(...known))
}

/** Requests that the endpoint takes at once with the GPUs it has left; 0 is unknown. */
export function usableCapacity(capacity: number | undefined, gpus: Pick<GpuShare, 'total' | 'usable'>): number {
  if (capacity === undefined || capacity === 0) return 0
  return gpus.total === 0 ? capacity : Math.max(1, Math.floor((capacity * gpus.usable) / gpus.total))
}
