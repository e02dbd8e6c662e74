/**
 * Makes a load of what a server said lately: levels as they are now, rates as differences of counters over at least a second. A counter that fell was
 * reset and one that is new has no past: neither makes a rate, so that a server that starts again is never a spike.
 */
import type { LoadSources, SourcedLoad } from '../../core/load-vector.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { EndpointReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import type { Figure, FigureName, Reading } from './reading.ts'

export type DatedReading = { readonly at: Millis; readonly reading: Reading }

/** Over a shorter span one request more or less would swing the rate. */
const RATE_SPAN = millis(1_000)
/** Of a span; readings that come faster take the place of the newest. */
const STEPS = 8

/** Newest last; keeps what rates over the span need, and no more than a step's worth of readings more, however fast they come. */
export function withReading(readings: readonly DatedReading[], next: DatedReading, span: Millis = RATE_SPAN): readonly DatedReading[] {
  const outdated = readings.findLastIndex((one) => next.at - one.at >= span)
  const kept = readings.slice(Math.max(outdated, 0))
  const [last, before] = [kept.at(-1), kept.at(-2)]
  if (last !== undefined && before !== undefined && last.at - before.at < span / STEPS) kept.pop()
  return [...kept, next]
}

/** `span` is that over which rates are taken, at least. */
export function loadOf(readings: readonly DatedReading[], span: Millis = RATE_SPAN): SourcedLoad {
  const first = readings[0]
  const last = readings.at(-1)
  if (first === undefined || last === undefined) return { load: {}, sources: {} }
  const past = last.at - first.at >= span ? { reading: first.reading, seconds: (last.at - first.at) / 1_000 } : undefined
  const numbers: { [Name in FigureName]?: number } = {}
  const sources: { [Name in FigureName]?: string } = {}
  for (const [name, figure] of Object.entries(last.reading) as [FigureName, Figure][]) {
    const known = figure.kind === 'level' ? figure : past && rateOf(figure, past.reading[name], past.seconds)
    if (known === undefined) continue
    numbers[name] = known.value
    sources[name] = known.source
  }
  const { capacity, ...load } = numbers
  return { load, sources, ...(capacity !== undefined && { capacity }) }
}

type Growth = Extract<Figure, { kind: 'growth' }>

function rateOf(now: Growth, before: Figure | undefined, seconds: number): { readonly value: number; readonly source: string } | undefined {
  if (before?.kind !== 'growth') return undefined
  let grown = 0
  let compared = 0
  for (const [labels, count] of now.counters) {
    const was = before.counters.get(labels)
    if (was === undefined) continue
    if (count < was) return undefined
    grown += count - was
    compared++
  }
  if (compared === 0) return undefined
  return { value: grown / now.unit / seconds, source: `difference of ${now.source} over ${seconds.toFixed(1)} s` }
}

/** The names that reports give the fields of a load, for their sources. */
const REPORTED = {
  queueDepth: 'queue_depth',
  running: 'running',
  kvCacheUse: 'kv_cache_use',
  tokensPerSecond: 'tokens_per_s',
  requestsPerSecond: 'requests_per_s',
  capacity: 'capacity',
} as const satisfies Record<keyof LoadSources, string>

/** `told`: what the server's owner says of its capacity, which goes before what the server says. */
export function loadReport(
  { load, capacity, sources }: SourcedLoad,
  told: number | undefined,
): Pick<EndpointReport, 'load' | 'loadSources' | 'capacity'> {
  const known = told ?? wholeCapacity(capacity)
  const named: LoadSources = { ...sources, ...(told !== undefined && { capacity: 'set for this server' }) }
  const fields = Object.entries(named).filter(([field]) => field !== 'capacity' || known !== undefined)
  return {
    load: {
      queueDepth: load.queueDepth,
      running: load.running,
      kvCacheUse: load.kvCacheUse,
      tokensPerS: load.tokensPerSecond,
      requestsPerS: load.requestsPerSecond,
    },
    loadSources: Object.fromEntries(fields.map(([field, source]) => [REPORTED[field as keyof LoadSources], source])),
    capacity: known,
  }
}

const CAPACITY_MAX = 1_000_000

/** 0 and what no server can hold are read as not known. */
const wholeCapacity = (capacity: number | undefined): number | undefined =>
  capacity === undefined || capacity < 1 || capacity > CAPACITY_MAX ? undefined : Math.floor(capacity)
