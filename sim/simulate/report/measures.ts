/** What is measured of one run: of the requests that arrived in its window, whenever they ended. */
import type { Reason } from '../../../core/mesh-error.ts'
import type { Request, RequestEnd } from '../mesh/request.ts'

export type Quantiles = { readonly p50: number; readonly p99: number }

export type Refusals = Readonly<Partial<Record<Reason, number>>>

/** What is absent was not measured: nobody was answered. */
export type Measures = {
  readonly requests: number
  /** From arrival to the first token, over all attempts. Who gave up before it counts with the whole time that he waited; who was refused does not. */
  readonly ttftMs?: Quantiles
  /** To the last token, of those that were answered in full. */
  readonly latencyMs?: Quantiles
  /** Answered in full with a first token within the goal, of all that arrived, and so many a second. */
  readonly goodShare: number
  readonly goodPerSecond: number
  readonly refused: number
  /** Of those that were refused; no reason that nobody was refused for. */
  readonly refusals: Refusals
  readonly failed: number
  readonly late: number
  readonly retries: number
}

export class Tally {
  requests = 0
  readonly #goalMs: number
  readonly #firstTokens: number[] = []
  readonly #latencies: number[] = []
  readonly #ends: Record<RequestEnd, number> = { done: 0, refused: 0, failed: 0, late: 0 }
  readonly #refusals: Partial<Record<Reason, number>> = {}
  #good = 0

  constructor(goalMs: number) {
    this.#goalMs = goalMs
  }

  note({ at, firstTokenAt }: Request, end: RequestEnd, now: number, why?: Reason): void {
    this.requests++
    if (why !== undefined) this.#refusals[why] = (this.#refusals[why] ?? 0) + 1
    this.#ends[end]++
    if (firstTokenAt !== undefined) this.#firstTokens.push(firstTokenAt - at)
    else if (end === 'late') this.#firstTokens.push(now - at)
    if (end !== 'done' || firstTokenAt === undefined) return
    this.#latencies.push(now - at)
    if (firstTokenAt - at <= this.#goalMs) this.#good++
  }

  read(seconds: number, retries: number): Measures {
    const { refused, failed, late } = this.#ends
    const ttftMs = quantiles(this.#firstTokens)
    const latencyMs = quantiles(this.#latencies)
    return {
      requests: this.requests,
      ...(ttftMs !== undefined && { ttftMs }),
      ...(latencyMs !== undefined && { latencyMs }),
      goodShare: this.requests === 0 ? 0 : this.#good / this.requests,
      goodPerSecond: this.#good / seconds,
      ...{ refused, refusals: { ...this.#refusals }, failed, late, retries },
    }
  }
}

/** Nearest rank: a value that was seen. */
export function quantiles(values: readonly number[]): Quantiles | undefined {
  if (values.length === 0) return undefined
  const sorted = Float64Array.from(values).sort()
  const at = (q: number): number => sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] as number
  return { p50: at(0.5), p99: at(0.99) }
}
