/**
 * What stays of the report before when one comes that says much the same: all of it when it says the same, else its words, which hardly ever change. Then
 * most of what was just read is forgotten at once, which costs nothing; what is kept and replaced twice a second by its equal costs a control plane
 * of ten thousand nodes pauses in which it hears nobody.
 */
import type { EndpointLoad, EndpointReport, GpuReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

type Names<Kind> = readonly (keyof Kind)[]
/** A field that a report gets later has to be named here. */
type Rest<Kind, Named extends keyof Kind> = Readonly<Record<Exclude<keyof Kind, Named>, true>>

const GPU_WORDS = ['uuid', 'name', 'pciBusId', 'recoveryAction', 'stateReason', 'driverVersion', 'performanceState'] as const
const gpuNumbers: Rest<GpuReport, (typeof GPU_WORDS)[number] | 'migInstances'> = {
  ...{ index: true, utilization: true, memoryUtilization: true, memoryTotalBytes: true, memoryUsedBytes: true },
  ...{ temperatureCelsius: true, powerDrawWatts: true, powerLimitWatts: true, smClockMhz: true, smClockMaxMhz: true },
  ...{ throttleReasons: true, eccUncorrected: true, eccCorrected: true, migEnabled: true, remapPending: true },
  ...{ state: true, faultAction: true },
}
const GPU_NUMBERS = Object.keys(gpuNumbers) as Names<GpuReport>

const ENDPOINT_WORDS = ['id', 'address', 'healthReason', 'serverKind'] as const
const ENDPOINT_LISTS = ['models', 'gpuUuids'] as const
const endpointNumbers: Rest<EndpointReport, (typeof ENDPOINT_WORDS)[number] | (typeof ENDPOINT_LISTS)[number] | 'load' | 'loadSources'> = {
  ...{ protocol: true, gpuBinding: true, health: true, probeLatencyMs: true, capacity: true },
}
const ENDPOINT_NUMBERS = Object.keys(endpointNumbers) as Names<EndpointReport>
const loadNumbers: Rest<EndpointLoad, never> = { queueDepth: true, running: true, kvCacheUse: true, tokensPerS: true, requestsPerS: true }
const LOAD_NUMBERS = Object.keys(loadNumbers) as Names<EndpointLoad>

/** `before`, or `now` with what is equal taken from it. */
export function keptGpu(before: GpuReport, now: GpuReport): GpuReport {
  const noInstances = before.migInstances.length === 0 && now.migInstances.length === 0
  if (noInstances && same(before, now, GPU_WORDS) && same(before, now, GPU_NUMBERS)) return before
  return keep(before, now, GPU_WORDS)
}

export function keptEndpoint(before: EndpointReport, now: EndpointReport): EndpointReport {
  if (before === now) return before
  const lists = ENDPOINT_LISTS.every((name) => sameTexts(before[name], now[name]))
  const sources = sameWords(before.loadSources, now.loadSources)
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

const sameLoad = (a: EndpointLoad | undefined, b: EndpointLoad | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && same(a, b, LOAD_NUMBERS))

function sameWords(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  if (a === b) return true
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name])
}
