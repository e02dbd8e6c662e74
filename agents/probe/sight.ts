/** What a look at a server's counters tells of its being alive: how much it has finished, and how many wait. */
import type { Millis } from '../../core/units.ts'
import type { Figure, Reading } from '../backend/reading.ts'
import type { Sight } from './probe-state.ts'

export function sightOf(at: Millis, reading: Reading): Sight {
  const finished = [reading.requestsPerSecond, reading.tokensPerSecond].flatMap((figure) => countOf(figure) ?? [])
  return {
    at,
    work: finished.length === 0 ? undefined : finished.reduce((total, count) => total + count, 0),
    queueDepth: reading.queueDepth?.kind === 'level' ? reading.queueDepth.value : undefined,
  }
}

const countOf = (figure: Figure | undefined): number | undefined =>
  figure?.kind === 'growth' ? [...figure.counters.values()].reduce((total, count) => total + count, 0) : undefined
