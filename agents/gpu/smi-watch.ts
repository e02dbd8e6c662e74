/**
 * Decides what is known of the GPUs and when nvidia-smi is started or ended, from its lines, its end and the time. Always holds: at most one nvidia-smi
 * exists, also when one hangs in the driver and cannot be killed; values that nobody vouches for any more are absent; a host without a GPU is no failure.
 */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import { type GpuReport, GpuTelemetry, type NodeReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { EMPTY_TABLE, type GpuTable, withAllLost, withLost, withNewRun, withoutMeasurements, withRow } from './gpu-table.ts'
import { agedDetails, joinDetails, type ToldDetails } from './join-details.ts'
import { parseSmiLine, type RunFailure } from './parse-line.ts'
import { FULL_QUERY, type Query, withoutField } from './query.ts'
import type { Details } from './read-details.ts'

type Run =
  /** None exists; one is due at `startAt`. */
  | { readonly state: 'waiting'; readonly startAt: Millis }
  /** `explained`: a line has said why there will be no row. */
  | { readonly state: 'starting'; readonly since: Millis; readonly explained: boolean }
  | { readonly state: 'telling' }
  /** Told to end, and not yet gone. */
  | { readonly state: 'ending'; readonly next: 'at-once' | 'after-a-pause' }

type Telemetry =
  | { readonly state: 'unknown' }
  | { readonly state: 'ok'; readonly lastRowAt: Millis }
  | { readonly state: 'no-gpu'; readonly reason: string }
  | { readonly state: 'failed'; readonly reason: string }

export type SmiWatch = {
  readonly run: Run
  readonly telemetry: Telemetry
  readonly table: GpuTable
  /** What the XML told last, by uuid. */
  readonly details: ReadonlyMap<string, ToldDetails>
  readonly query: Query
  /** Runs in a row that told of no GPU. */
  readonly emptyRuns: number
}

export type SmiEvent =
  | { readonly kind: 'started' }
  | { readonly kind: 'line'; readonly text: string }
  /** In words, for when no line explained the end. */
  | { readonly kind: 'exited'; readonly detail: string }
  | { readonly kind: 'not-found'; readonly program: string }
  | { readonly kind: 'details'; readonly details: Details; readonly askedAt: Millis }
  | { readonly kind: 'tick' }

export const FRESH_WATCH: SmiWatch = {
  run: { state: 'waiting', startAt: millis(0) },
  telemetry: { state: 'unknown' },
  table: EMPTY_TABLE,
  details: new Map(),
  query: FULL_QUERY,
  emptyRuns: 0,
}

export const shouldStart = (watch: SmiWatch, now: Millis): boolean => watch.run.state === 'waiting' && now >= watch.run.startAt
export const shouldEnd = (watch: SmiWatch): boolean => watch.run.state === 'ending'

export function stepWatch(watch: SmiWatch, event: SmiEvent, now: Millis): SmiWatch {
  switch (event.kind) {
    case 'started':
      return { ...watch, run: { state: 'starting', since: now, explained: false }, table: withNewRun(watch.table) }
    case 'line':
      return watch.run.state === 'ending' ? watch : onLine(watch, event.text, now)
    case 'exited':
      return onExit(watch, event.detail, now)
    case 'not-found':
      return paused({ ...watch, telemetry: noGpu(watch, `${event.program} is not on this host`) }, now)
    case 'details':
      return { ...watch, details: new Map([...event.details].map(([uuid, facts]) => [uuid, { facts, at: event.askedAt }])) }
    case 'tick':
      return onTick(withAgedDetails(watch, now), now)
    default:
      return event satisfies never
  }
}

/** Somebody else may ask the driver too: it answers, as far as can be told. */
export const rowsCome = ({ run, telemetry }: SmiWatch, now: Millis): boolean =>
  run.state !== 'ending' && telemetry.state === 'ok' && now - telemetry.lastRowAt < limits.smiFreshMax

/** The GPUs as a report may tell of them now. */
export const gpusOf = (watch: SmiWatch): readonly GpuReport[] =>
  watch.telemetry.state === 'ok' ? [...watch.table.gpus.values()].map((gpu) => joined(watch, gpu)) : withoutMeasurements(watch.table)

/** Only a row is joined: of a lost GPU nothing is known but that. */
function joined({ table, details }: SmiWatch, gpu: GpuReport): GpuReport {
  const rowAt = table.rowAt.get(gpu.uuid)
  const told = details.get(gpu.uuid)
  return rowAt === undefined || told === undefined ? gpu : joinDetails(gpu, rowAt, told)
}

function withAgedDetails(watch: SmiWatch, now: Millis): SmiWatch {
  const aged = [...watch.details].map(([uuid, told]) => [uuid, agedDetails(told, now)] as const)
  if (aged.every(([uuid, told]) => told === watch.details.get(uuid))) return watch
  return { ...watch, details: new Map(aged.flatMap(([uuid, told]) => (told === undefined ? [] : [[uuid, told]]))) }
}

export function telemetryOf(watch: SmiWatch): Pick<NodeReport, 'gpuTelemetry' | 'gpuTelemetryReason'> {
  switch (watch.telemetry.state) {
    case 'unknown':
      return { gpuTelemetry: GpuTelemetry.GPU_TELEMETRY_UNSPECIFIED, gpuTelemetryReason: 'nvidia-smi has not answered yet' }
    case 'ok':
      return { gpuTelemetry: GpuTelemetry.GPU_TELEMETRY_OK, gpuTelemetryReason: '' }
    case 'no-gpu':
      return { gpuTelemetry: GpuTelemetry.GPU_TELEMETRY_NO_GPU, gpuTelemetryReason: watch.telemetry.reason }
    case 'failed':
      return { gpuTelemetry: GpuTelemetry.GPU_TELEMETRY_FAILED, gpuTelemetryReason: watch.telemetry.reason }
    default:
      return watch.telemetry satisfies never
  }
}

function onLine(watch: SmiWatch, text: string, now: Millis): SmiWatch {
  const line = parseSmiLine(text, watch.query)
  switch (line.kind) {
    case 'gpu':
      return told({ ...watch, table: withRow(watch.table, line.gpu, now) }, now)
    case 'lost':
      return told({ ...watch, table: withLost(watch.table, line.pciBusId, line.reason) }, now)
    case 'field-refused':
      return onRefusedField(watch, line.name)
    case 'run-failed':
      return onFailure(watch, line.failure)
    case 'noise':
      return watch
    default:
      return line satisfies never
  }
}

const told = (watch: SmiWatch, now: Millis): SmiWatch => ({
  ...watch,
  run: { state: 'telling' },
  telemetry: { state: 'ok', lastRowAt: now },
  emptyRuns: 0,
})

/** Not a failed run but a question put wrongly: a better one is put as soon as this run is gone. */
function onRefusedField(watch: SmiWatch, name: string): SmiWatch {
  const query = withoutField(watch.query, name)
  if (query !== undefined) return { ...watch, query, run: { state: 'ending', next: 'at-once' } }
  return {
    ...watch,
    run: { state: 'ending', next: 'after-a-pause' },
    telemetry: { state: 'failed', reason: `this nvidia-smi does not know the field "${name}"; is it very old, or another program?` },
  }
}

function onFailure(before: SmiWatch, failure: RunFailure): SmiWatch {
  const watch: SmiWatch = before.run.state === 'starting' ? { ...before, run: { ...before.run, explained: true } } : before
  if (failure.cause !== 'no-devices') return { ...watch, telemetry: { state: 'failed', reason: failure.reason } }
  return { ...watch, telemetry: noGpu(watch, failure.reason), table: withAllLost(watch.table, failure.reason) }
}

/** A host that had GPUs and shows none any more has failed; one that never had any has not. */
const noGpu = (watch: SmiWatch, reason: string): Telemetry => ({ state: watch.table.gpus.size === 0 ? 'no-gpu' : 'failed', reason })

function onExit(watch: SmiWatch, detail: string, now: Millis): SmiWatch {
  if (watch.run.state === 'ending' && watch.run.next === 'at-once') return { ...watch, run: { state: 'waiting', startAt: now } }
  // What it told last stays true until the silence is too long: a run that ends and starts again is no news.
  if (watch.telemetry.state === 'ok' || watch.run.state !== 'starting' || watch.run.explained) return paused(watch, now)
  return paused({ ...watch, telemetry: { state: 'failed', reason: `nvidia-smi ended: ${detail}` } }, now)
}

function paused(watch: SmiWatch, now: Millis): SmiWatch {
  const pause = Math.min(limits.smiRestartFirst * 2 ** Math.min(watch.emptyRuns, 16), limits.smiRestartMax)
  return { ...watch, run: { state: 'waiting', startAt: millis(now + pause) }, emptyRuns: watch.emptyRuns + 1 }
}

function onTick(watch: SmiWatch, now: Millis): SmiWatch {
  const { run, telemetry } = watch
  if (telemetry.state === 'ok' && now - telemetry.lastRowAt >= limits.smiSilenceMax)
    return {
      ...watch,
      run: run.state === 'telling' ? { state: 'ending', next: 'after-a-pause' } : run,
      telemetry: { state: 'failed', reason: `nvidia-smi has been silent for ${seconds(now - telemetry.lastRowAt)}` },
    }
  if (run.state !== 'starting' || now - run.since < limits.smiSilenceMax) return watch
  return {
    ...watch,
    run: now - run.since < limits.smiStartMax ? run : { state: 'ending', next: 'after-a-pause' },
    telemetry:
      telemetry.state === 'unknown'
        ? { state: 'failed', reason: `nvidia-smi has not answered for ${seconds(now - run.since)}; is persistence mode on?` }
        : telemetry,
  }
}

const seconds = (span: number): string => `${Math.round(span / 1000)} s`
