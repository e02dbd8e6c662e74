/** Probes the models of one server, one at a time, when the pure part says so, and keeps what came of it. */
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/edge/log.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { Evidence } from '../backend/endpoint-health.ts'
import {
  answered,
  FRESH_PROBES,
  judge,
  nextProbe,
  type ProbeState,
  type Sight,
  seen,
  servedModels,
  signsOf,
  withModels,
} from '../probe/probe-state.ts'
import { type Verdict, weighAnswer } from '../probe/weigh-answer.ts'
import type { Asked, Prober } from './probe-model.ts'

export type DeepProbe = {
  /** The models that are ready now; none when models are not to be asked. */
  models(names: readonly string[]): void
  seen(sight: Sight): void
  judge(health: Evidence, since: Millis): Evidence
  /** Of the models that are ready, those that did not fail. */
  served(): readonly string[]
  /** Asks if it is time to. Resolves when the answer is in, or is not for so long. */
  turn(patience: Millis): Promise<void>
  /** Asks every model once, now. */
  askAll(): Promise<void>
  /** The server went away: what comes back may be another. */
  reset(): void
}

export type DeepProbeOptions = {
  readonly endpoint: string
  readonly period: Millis
  readonly prober: Prober
  readonly clock: Clock
  readonly draw: () => number
  readonly log: Logger
  readonly onVerdict: (verdict: Verdict['kind'], took: Millis) => void
}

export function deepProbe(options: DeepProbeOptions): DeepProbe {
  const { endpoint, prober, clock, draw, log } = options
  let state: ProbeState = FRESH_PROBES
  let under: Promise<void> | undefined

  const weigh = (asked: Asked, began: Millis): Verdict =>
    'senseless' in asked
      ? { kind: 'senseless', reason: asked.senseless }
      : weighAnswer(asked.outcome, signsOf(state, began, clock.now()), asked.tried)

  const ask = async (model: string): Promise<void> => {
    const before = state.models.get(model)
    const began = clock.now()
    const asked = await prober.ask(model, before?.answered ?? false)
    const now = clock.now()
    const took = millis(now - began)
    const verdict = weigh(asked, began)
    // The models may have changed meanwhile; a verdict on one that went is none.
    state = answered(state, { model, verdict, took }, now, draw(), options.period)
    options.onVerdict(verdict.kind, took)
    const after = state.models.get(model)
    if (after !== undefined && after.verdict !== before?.verdict)
      log.info({ endpoint, model, verdict: after.verdict, reason: after.reason, tookMs: Math.round(took) }, 'probe.verdict')
  }
  const oneAtATime = (start: () => Promise<void>): Promise<void> => {
    under ??= start().finally(() => {
      under = undefined
    })
    return under
  }

  return {
    models(names) {
      state = withModels(state, names)
    },
    seen(sight) {
      state = seen(state, sight)
    },
    judge: (health, since) => judge(health, state, signsOf(state, since, clock.now())),
    served: () => servedModels(state),
    async turn(patience) {
      if (under === undefined && nextProbe(state, clock.now()) === undefined) return
      const answer = oneAtATime(async () => {
        const model = nextProbe(state, clock.now())
        if (model !== undefined) await ask(model)
      })
      let timer: NodeJS.Timeout | undefined
      const enough = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, patience)
      })
      await Promise.race([answer, enough])
      clearTimeout(timer)
    },
    async askAll() {
      await under
      await oneAtATime(async () => {
        for (const model of state.models.keys()) await ask(model)
      })
    },
    reset() {
      state = { ...FRESH_PROBES, models: new Map() }
      prober.forget()
    },
  }
}
