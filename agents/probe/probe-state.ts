/**
 * What is known of a server's models by probing them, when which is asked next, and what that makes of the server. Invariants: of one server one model is
 * asked at a time; an inference that works takes at most a share of the server's time; a model is lost by two bad answers in a row, never by one; a model
 * that was not asked yet is served on the server's word.
 */

import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { Evidence } from '../backend/endpoint-health.ts'
import type { Signs, Verdict } from './weigh-answer.ts'

export type ModelProbe = {
  /** `unknown` until it was asked; `doubted` after one bad answer. */
  readonly verdict: 'unknown' | 'doubted' | Verdict['kind']
  readonly reason: string
  readonly askedAt: Millis | undefined
  /** It answered once: from then on a bad answer is its own fault. */
  readonly answered: boolean
}

/** One look at the server's counters. */
export type Sight = { readonly at: Millis; readonly work: number | undefined; readonly queueDepth: number | undefined }

export type ProbeState = {
  readonly models: ReadonlyMap<string, ModelProbe>
  readonly nextAt: Millis
  readonly endedAt: Millis | undefined
  /** Work finished when the last probe had ended: what comes on top is others'. */
  readonly workAtEnd: number | undefined
  readonly sight: Sight | undefined
  /** When the counters moved last. */
  readonly movedAt: Millis | undefined
}

export const FRESH_PROBES: ProbeState = {
  models: new Map(),
  nextAt: millis(0),
  endedAt: undefined,
  workAtEnd: undefined,
  sight: undefined,
  movedAt: undefined,
}

/** In times of what the refused question took. */
const BUSY_PAUSE = 4

const NOT_ASKED: ModelProbe = { verdict: 'unknown', reason: '', askedAt: undefined, answered: false }

/** The models that the server has ready now. One that went and comes back is a new one. */
export function withModels(state: ProbeState, names: readonly string[]): ProbeState {
  if (names.length === state.models.size && names.every((name) => state.models.has(name))) return state
  return { ...state, models: new Map(names.map((name) => [name, state.models.get(name) ?? NOT_ASKED])) }
}

export function seen(state: ProbeState, sight: Sight): ProbeState {
  const before = state.sight?.work
  const moved = sight.work !== undefined && (before === undefined || sight.work !== before)
  const first = state.endedAt !== undefined && state.workAtEnd === undefined && sight.at > state.endedAt
  return {
    ...state,
    sight,
    movedAt: moved ? sight.at : state.movedAt,
    workAtEnd: first ? sight.work : state.workAtEnd,
  }
}

/** `since`: when the question began. Counters that were not read lately are no sign of life. */
export function signsOf(state: ProbeState, since: Millis, now: Millis): Signs {
  const { sight, movedAt } = state
  if (sight === undefined || now - sight.at > limits.loadAgeMax) return { progress: false, queued: false }
  const still = movedAt === undefined ? undefined : now - movedAt
  return {
    progress: movedAt !== undefined && movedAt > since,
    queued: (sight.queueDepth ?? 0) > 0 && still !== undefined && still <= limits.workSilenceMax,
  }
}

/** The model to be asked now, if any. */
export function nextProbe(state: ProbeState, now: Millis): string | undefined {
  const rows = [...state.models]
  if (now < state.nextAt && !relieved(state, now)) return undefined
  const urgent = rows.filter(([, { verdict }]) => verdict === 'doubted' || verdict === 'failed' || verdict === 'busy')
  if (urgent.length === 0 && worksForOthers(state) && state.endedAt !== undefined && now - state.endedAt < limits.deepProbeLoadedPeriod)
    return undefined
  const doubted = urgent.filter(([, { verdict }]) => verdict === 'doubted')
  return longestAgo(doubted.length > 0 ? doubted : rows.filter(([, { verdict }]) => verdict !== 'senseless'))
}

/** What turned a probe away has no queue any more. */
const relieved = ({ models, sight, endedAt }: ProbeState, now: Millis): boolean =>
  sight?.queueDepth === 0 &&
  endedAt !== undefined &&
  sight.at > endedAt &&
  now - endedAt >= limits.deepProbeAgain &&
  [...models.values()].some(({ verdict }) => verdict === 'busy')

const longestAgo = (rows: readonly (readonly [string, ModelProbe])[]): string | undefined =>
  rows.reduce<readonly [string, ModelProbe] | undefined>(
    (oldest, row) => (oldest === undefined || askedAt(row) < askedAt(oldest) ? row : oldest),
    undefined,
  )?.[0]

const askedAt = ([, { askedAt }]: readonly [string, ModelProbe]): number => askedAt ?? Number.NEGATIVE_INFINITY

function worksForOthers({ sight, workAtEnd }: ProbeState): boolean {
  return sight?.work !== undefined && workAtEnd !== undefined && sight.work > workAtEnd
}

export type Answer = { readonly model: string; readonly verdict: Verdict; readonly took: Millis }

/** `draw` in [0, 1): agents of a fleet that start together do not go on in step. */
export function answered(
  state: ProbeState,
  { model, verdict, took }: Answer,
  now: Millis,
  draw: number,
  period: Millis = limits.deepProbePeriod,
): ProbeState {
  const before = state.models.get(model)
  if (before === undefined) return { ...state, nextAt: millis(now + limits.deepProbeAgain), endedAt: now, workAtEnd: undefined }
  const known = before.verdict === 'doubted' || before.verdict === 'failed'
  const next: ModelProbe = {
    verdict: verdict.kind === 'failed' && !known ? 'doubted' : verdict.kind,
    reason: 'reason' in verdict ? verdict.reason : '',
    askedAt: now,
    answered: before.answered || verdict.kind === 'passed',
  }
  const models = new Map(state.models).set(model, next)
  return {
    ...state,
    models,
    nextAt: millis(now + pause(models, next, took, period) * (0.75 + draw / 2)),
    endedAt: now,
    workAtEnd: undefined,
  }
}

function pause(models: ReadonlyMap<string, ModelProbe>, last: ModelProbe, took: Millis, period: Millis): Millis {
  if (last.verdict === 'doubted') return limits.deepProbeAgain
  if (last.verdict === 'failed') return millis(Math.max(limits.deepProbeAgain, took))
  // Asking is not to keep it busy.
  if (last.verdict === 'busy') return millis(Math.max(limits.deepProbeAgain, took * BUSY_PAUSE))
  // Each model's first question comes soon: it costs once.
  if ([...models.values()].some(({ verdict }) => verdict === 'unknown')) return millis(Math.max(limits.deepProbeAgain, took))
  return millis(Math.max(period, took / limits.deepProbeShare))
}

/** The models that requests may be sent for. */
export const servedModels = (state: ProbeState): readonly string[] =>
  [...state.models].filter(([, { verdict }]) => verdict !== 'failed').map(([name]) => name)

/** What the health page said, corrected by what the models answered. */
export function judge(health: Evidence, state: ProbeState, signs: Signs): Evidence {
  if (health.kind === 'slow' && (signs.progress || signs.queued))
    return { kind: 'busy', reason: `${health.reason}, while it ${signs.progress ? 'finishes other requests' : 'has a queue'}` }
  if (health.kind !== 'ready') return health
  const probes = [...state.models]
  if (probes.length === 0) return health
  const served = probes.filter(([, { verdict }]) => verdict !== 'failed')
  const failed = probes.find(([, { verdict }]) => verdict === 'failed')
  if (served.length === 0 && failed !== undefined) return { kind: 'bad', reason: `model ${failed[0]}: ${failed[1].reason}` }
  const asked = served.filter(([, { verdict }]) => verdict !== 'unknown')
  if (asked.length === 0) return signs.progress ? health : { kind: 'unproven', reason: 'the first probe of its models is under way' }
  if (asked.some(([, { verdict }]) => verdict === 'passed' || verdict === 'senseless')) return health
  const busy = asked.find(([, { verdict }]) => verdict === 'busy')
  if (busy !== undefined) return { kind: 'busy', reason: `model ${busy[0]}: ${busy[1].reason}` }
  // One bad answer of a model that answered before is a slip until it is confirmed.
  return asked.some(([, { answered }]) => answered) ? health : { kind: 'bad', reason: `model ${asked[0]?.[0]}: ${asked[0]?.[1].reason}` }
}
