/**
 * The decisions that a worker remembers: a ring of the latest, so its memory is bounded whatever is asked. What is remembered is a sample: every so
 * many-th request, those whose caller traces them, and every attempt after the first, at most so many in a second.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { Choice, DecisionEnd } from '../../proto/gen/millrace/mesh/v1/mesh.ts'

export type DecisionRecord = {
  readonly at: Millis
  /** Empty: the caller sent none. */
  readonly trace: string
  /** From 1. */
  readonly attempt: number
  readonly endpoint: string
  readonly choice: Choice
  firstByte: Millis | undefined
  end: DecisionEnd | undefined
}

/** An empty model or trace is any. */
export type DecisionQuery = { readonly model: string; readonly trace: string; readonly most: number }

export class DecisionBook {
  readonly #ring: DecisionRecord[] = []
  #next = 0
  #seen = 0
  #second = 0
  #left: number = limits.decisionsPerSecond

  /** Whether the attempt that begins now is to be remembered. */
  wants(traced: boolean, again: boolean, now: Millis): boolean {
    this.#seen = (this.#seen + 1) % limits.decisionSampleEvery
    if (this.#seen !== 0 && !traced && !again) return false
    const second = Math.floor(now / 1_000)
    if (second !== this.#second) {
      this.#second = second
      this.#left = limits.decisionsPerSecond
    }
    return this.#left-- > 0
  }

  add(record: DecisionRecord): void {
    this.#ring[this.#next] = record
    this.#next = (this.#next + 1) % limits.decisionsKept
  }

  /** Newest first. */
  find({ model, trace, most }: DecisionQuery): readonly DecisionRecord[] {
    const found: DecisionRecord[] = []
    for (let back = 1; back <= this.#ring.length && found.length < most; back++) {
      const record = this.#ring[(this.#next - back + limits.decisionsKept) % limits.decisionsKept]
      if (record === undefined) continue
      if ((model === '' || record.choice.model === model) && (trace === '' || record.trace === trace)) found.push(record)
    }
    return found
  }
}
