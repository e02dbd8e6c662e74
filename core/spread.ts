/**
 * How a fleet that has to do the same at one moment takes turns: each waits a random part of a span that grows with the fleet. The trade: in a fleet of
 * ten thousand the last one speaks seconds later, and nobody has to take in ten thousand at once.
 */
import { limits } from './limits.ts'
import { type Millis, millis } from './units.ts'

/** Over how long `nodes` agents spread; `undefined` when nobody has said how many there are. */
export const fleetSpread = (nodes: number | undefined): Millis =>
  millis(Math.min(limits.fleetSpreadMax, ((nodes ?? limits.fleetAssumed) / limits.fleetTurnsPerSecond) * 1_000))

/**
 * The wait before dialling NATS again: a random part of a span that doubles with each attempt in vain, from the first on not below `spread`, never
 * above `waitMax`. `draw` lies in [0, 1).
 */
export function redialWait(attempt: number, draw: number, spread: Millis, waitMax: Millis): Millis {
  const doubled = limits.busWaitFirst * 2 ** Math.min(attempt - 1, 16)
  return millis(draw * Math.min(waitMax, Math.max(doubled, spread)))
}
