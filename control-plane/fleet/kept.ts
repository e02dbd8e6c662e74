/**
 * What stays of the report before when one comes that says much the same: all of it when it says the same, else its words, which hardly ever change. Then
 * most of what was just read is forgotten at once, which costs nothing; what is kept and replaced twice a second by its equal costs a control plane
 * of ten thousand nodes pauses in which it hears nobody.
 */
import type { EndpointLoad, EndpointReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

type Names<Kind> = readonly (keyof Kind)[]
/** A field that a report gets later has to be named here. */
type Rest<Kind, Named extends keyof Kind> = Readonly<Record<Exclude<keyof Kind, Named>, true>>

const ENDPOINT_WORDS = ['id', 'address', 'healthReason', 'serverKind'] as const
const ENDPOINT_LISTS = ['models', 'gpuUuids'] as const
const endpointNumbers: Rest<EndpointReport, (typeof ENDPOINT_WORDS)[number] | (typeof ENDPOINT_LISTS)[number] | 'load' | 'loadSources'> = {
  ...{ protocol: true, gpuBinding: true, health: true, probeLatencyMs: true, capacity: true },
}
const ENDPOINT_NUMBERS = Object.keys(endpointNumbers) as Names<EndpointReport>
const loadNumbers: Rest<EndpointLoad, never> = { queueDepth: true, running: true, kvCacheUse: true, tokensPerS: true, requestsPerS: true }
const LOAD_NUMBERS = Object.keys(loadNumbers) as Names<EndpointLoad>

/** `before`, or `now` with what is equal taken from it. */
export function keptEndpoint(before: EndpointReport, now: EndpointReport): EndpointReport {
  if (before === now) return before
  const lists = ENDPOINT_LISTS.every((name) => sameTexts(before[name], now[name]))
  const sources = sameFields(before.loadSources, now.loadSources)
  const load = sameLoad(before.load, now.load)
  if (lists && sources && load && same(before, now, ENDPOINT_WORDS) && same(before, now, ENDPOINT_NUMBERS)) return before
  const kept = keep(before, now, ENDPOINT_WORDS)
  if (sources) kept.loadSources = before.loadSources
  if (load) kept.load = before.load
  for (const name of ENDPOINT_LISTS) if (sameTexts(before[name], now[name])) kept[name] = before[name]
  return kept
}

/** `now` was read for this: it is nobody else's yet. */
function keep<Report>(before: Report, now: Report, names: readonly (keyof Report)[]): Report {
  for (const name of names) if (before[name] === now[name]) now[name] = before[name]
  return now
}

const same = <Report>(a: Report, b: Report, names: readonly (keyof Report)[]): boolean => names.every((name) => a[name] === b[name])

export const sameTexts = (a: readonly string[], b: readonly string[]): boolean =>
  a === b || (a.length === b.length && a.every((text, at) => text === b[at]))

/** Of flat objects. */
export function sameFields<Kind extends object>(a: Kind | undefined, b: Kind | undefined): boolean {
  if (a === b) return true
  if (a === undefined || b === undefined) return false
  const names = Object.keys(a) as (keyof Kind)[]
  return names.length === Object.keys(b).length && same(a, b, names)
}

const sameLoad = (a: EndpointLoad | undefined, b: EndpointLoad | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && same(a, b, LOAD_NUMBERS))
