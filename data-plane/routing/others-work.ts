/**
 * Of the work in a server, what this proxy did not send: reported less our own, which is known exactly and at every moment. It is a mean over some reports,
 * so that proxies which all see the same idle server do not all run there and back, and a report that was long on its way misleads little. What comes
 * out below zero says that the server reports less than we alone have open there.
 */
import type { LoadVector } from '../../core/load-vector.ts'

const MEMORY_MS = 2_000
/** Requests that are on their way are counted by one side only. */
const ON_THEIR_WAY = 1
const ON_THEIR_WAY_SHARE = 0.25

export class OthersWork {
  #mean: number | undefined

  /** `ours`: what this proxy held at the sample; `spanMs` since the sample before. */
  note({ queueDepth, running }: LoadVector, ours: number, spanMs: number): void {
    if (queueDepth === undefined || running === undefined) return this.forget()
    const others = queueDepth + running - ours
    if (this.#mean === undefined) this.#mean = others
    else if (spanMs > 0) this.#mean += (others - this.#mean) / (1 + MEMORY_MS / spanMs)
  }

  forget(): void {
    this.#mean = undefined
  }

  /** Undefined where the reports do not tell. */
  get work(): number | undefined {
    return this.#mean === undefined ? undefined : Math.max(0, this.#mean)
  }

  /** A server that says it does less than we know it has to do is not to be gone by. `ours`: what this proxy holds now. */
  contradicts(ours: number): boolean {
    return this.#mean !== undefined && this.#mean < -ON_THEIR_WAY - ON_THEIR_WAY_SHARE * ours
  }
}
