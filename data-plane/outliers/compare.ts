/**
 * Which endpoints of a model stand out against the others by what a window shows of them. An endpoint is compared with its peers only: where a model fails
 * or is slow everywhere, nobody stands out. After gRFC A50, with a second measure that a third of bad endpoints cannot hide from and that two suffice for.
 */
import { limits } from '../../core/limits.ts'
import type { EndpointSlot } from '../routing/endpoint-slot.ts'
import type { Evidence } from './evidence.ts'

export type Window = ReadonlyMap<EndpointSlot, Evidence>

/** Those that fail far more often than the others. Backpressure is in neither number. */
export function failing(window: Window): readonly EndpointSlot[] {
  const slots: EndpointSlot[] = []
  const rates: number[] = []
  for (const [slot, evidence] of window)
    if (evidence.attempts >= limits.outlierAttemptsMin) {
      slots.push(slot)
      rates.push(evidence.successRate)
    }
  if (slots.length < 2) return NONE
  const bound = successBound(Float64Array.from(rates))
  return slots.filter((_slot, at) => (rates[at] as number) < bound)
}

/** The rate of success below which an endpoint is an outlier. */
export function successBound(rates: Float64Array): number {
  const ofMedian = upperMedian(rates) * limits.outlierOfMedian
  if (rates.length < limits.outlierPeersMin) return ofMedian
  let sum = 0
  let squares = 0
  for (const rate of rates) sum += rate
  const mean = sum / rates.length
  for (const rate of rates) squares += (rate - mean) ** 2
  return Math.max(ofMedian, mean - limits.outlierDeviations * Math.sqrt(squares / rates.length))
}

/**
 * Those whose answers begin far later than the others'. Whoever has work waiting or turns work away is passed over: that makes answers late, and is dealt
 * with elsewhere. Late is late both as it is and by weight, so that neither a small endpoint nor a large one is held to the other's measure.
 */
export function slow(window: Window): readonly EndpointSlot[] {
  const slots: EndpointSlot[] = []
  const plain: number[] = []
  const weighed: number[] = []
  for (const [slot, evidence] of window)
    if (evidence.firstBytes >= limits.outlierSlowSamples && evidence.backpressures === 0 && !isLoaded(slot)) {
      slots.push(slot)
      plain.push(evidence.firstByteMean)
      weighed.push(evidence.firstByteMean * slot.endpoint.weight)
    }
  if (slots.length < limits.outlierSlowPeersMin) return NONE
  const median = upperMedian(Float64Array.from(plain))
  const bound = Math.max(limits.outlierSlowTimes * median, median + limits.outlierSlowBy)
  const weighedBound = limits.outlierSlowTimes * upperMedian(Float64Array.from(weighed))
  return slots.filter((_slot, at) => (plain[at] as number) > bound && (weighed[at] as number) > weighedBound)
}

const isLoaded = ({ endpoint, load }: EndpointSlot): boolean => endpoint.state === 'BUSY' || (load?.load.queueDepth ?? 0) > 0

const upperMedian = (values: Float64Array): number => values.slice().sort()[Math.floor(values.length / 2)] as number

const NONE: readonly EndpointSlot[] = []
