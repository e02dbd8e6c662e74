/**
 * The traffic: an open loop, so a slow fleet is not asked less. Arrivals without memory, at a rate that bursts for a while; long-tailed prompts and
 * answers; sessions that grow by their own history and share system prompts; tenants by share. Invariant: the same seed gives the same arrivals, whatever
 * is done with them, so that policies are compared on the same traffic.
 */
import { type Millis, millis } from '../../../core/units.ts'
import { exponential, lognormal, weighted, zipf } from '../engine/distributions.ts'
import type { Arrival, Prompt, Traffic, TrafficSource } from './arrival.ts'

export type Lengths = { readonly median: number; readonly sigma: number; readonly max: number }

export type WorkloadRules = {
  readonly prompt: Lengths
  readonly output: Lengths
  /** Now and then arrivals come `factor` times as often, for a while; the mean over all time is kept. */
  readonly bursts?: { readonly everySeconds: number; readonly lastingSeconds: number; readonly factor: number } | undefined
  readonly sessions?: Sessions | undefined
  readonly tenants: readonly TenantRules[]
}

/** `band`: what it says of itself where a queue has bands. */
type TenantRules = { readonly name: string; readonly share: number; readonly band?: string | undefined }

type Sessions = {
  /** Requests of one session, on average. */
  readonly turns: number
  /** Sessions that go on at the same time. */
  readonly live: number
  readonly systemPrompts: number
  readonly systemTokens: number
}

/** What a session has said and heard so far. */
type Session = { readonly id: number; readonly system: number; tokens: number }

export class Workload implements Traffic {
  readonly #rules: WorkloadRules
  readonly #draw: () => number
  readonly #meanGap: number
  readonly #shares: readonly number[]
  readonly #sessions: Session[] = []
  #at: Millis
  #nextSession = 0
  /** Of the burst that comes or goes on. */
  #burst: { from: number; to: number }

  /** `ratePerSecond`: of requests, over a long time. */
  constructor(rules: WorkloadRules, ratePerSecond: number, from: Millis, draw: () => number) {
    this.#rules = rules
    this.#draw = draw
    this.#at = from
    this.#shares = rules.tenants.map(({ share }) => share)
    this.#meanGap = (1000 / ratePerSecond) * meanFactor(rules)
    this.#burst = this.#planBurst(from)
  }

  next(): Arrival {
    this.#step()
    const tenant = weighted(this.#shares, this.#draw)
    const outputTokens = drawLength(this.#rules.output, this.#draw)
    const prompt = this.#prompt(outputTokens)
    return { at: this.#at, tenant, prompt, outputTokens }
  }

  /** A process without memory may be begun anew wherever its rate changes. */
  #step(): void {
    let at: number = this.#at
    for (;;) {
      const { from, to } = this.#burst
      const inside = at >= from
      const factor = inside ? (this.#rules.bursts?.factor ?? 1) : 1
      const next = at + exponential(this.#meanGap / factor, this.#draw)
      const edge = inside ? to : from
      if (next < edge) {
        this.#at = millis(next)
        return
      }
      at = edge
      if (inside) this.#burst = this.#planBurst(at)
    }
  }

  #planBurst(after: number): { from: number; to: number } {
    const { bursts } = this.#rules
    if (bursts === undefined) return { from: Number.POSITIVE_INFINITY, to: Number.POSITIVE_INFINITY }
    const from = after + exponential(1000 * bursts.everySeconds, this.#draw)
    return { from, to: from + exponential(1000 * bursts.lastingSeconds, this.#draw) }
  }

  #prompt(outputTokens: number): Prompt {
    const { sessions, prompt } = this.#rules
    const said = drawLength(prompt, this.#draw)
    const session = this.#session()
    const historyTokens = session.tokens
    const systemTokens = sessions?.systemTokens ?? 0
    const tokens = historyTokens === 0 ? systemTokens + said : historyTokens + said
    session.tokens = tokens + outputTokens
    return { tokens, system: session.system, systemTokens, session: session.id, historyTokens }
  }

  /** One that goes on, or, in its place when it is over or too long, a new one. */
  #session(): Session {
    const { sessions, prompt } = this.#rules
    if (sessions === undefined) return this.#newSession(0)
    const place = Math.floor(this.#draw() * sessions.live)
    const known = this.#sessions[place]
    const goesOn = this.#draw() >= 1 / sessions.turns
    if (known !== undefined && goesOn && known.tokens < prompt.max) return known
    const session = this.#newSession(zipf(sessions.systemPrompts, this.#draw))
    this.#sessions[place] = session
    return session
  }

  #newSession(system: number): Session {
    return { id: this.#nextSession++, system, tokens: 0 }
  }
}

export const drawLength = ({ median, sigma, max }: Lengths, draw: () => number): number =>
  Math.max(1, Math.min(max, Math.round(lognormal(median, sigma, draw))))

/** How much rarer arrivals are between bursts than on average. */
function meanFactor({ bursts }: WorkloadRules): number {
  if (bursts === undefined) return 1
  const { everySeconds, lastingSeconds, factor } = bursts
  return (everySeconds + lastingSeconds * factor) / (everySeconds + lastingSeconds)
}

/** Means over many arrivals: what a fleet's capacity is computed from. */
export type MeanRequest = {
  readonly promptTokens: number
  readonly outputTokens: number
  /** Of the square: answers that are long hold memory for longer. */
  readonly outputSquared: number
}

const SAMPLES = 20_000
/** Sessions have their usual length by then. */
const SETTLING = 5_000

export function meanRequest(source: TrafficSource, draw: () => number): MeanRequest {
  const workload = source(1, millis(0), draw)
  for (let i = 0; i < SETTLING; i++) workload.next()
  let [promptTokens, outputTokens, outputSquared] = [0, 0, 0]
  for (let i = 0; i < SAMPLES; i++) {
    const one = workload.next()
    promptTokens += one.prompt.tokens / SAMPLES
    outputTokens += one.outputTokens / SAMPLES
    outputSquared += one.outputTokens ** 2 / SAMPLES
  }
  return { promptTokens, outputTokens, outputSquared }
}
