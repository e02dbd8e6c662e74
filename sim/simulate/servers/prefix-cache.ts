/**
 * What a server still has of prompts that it has read: how many tokens of each session and of each system prompt, the longest unused forgotten first. A
 * stand-in for a cache of blocks that is exact as long as a prompt is a system prompt, its session's history and something new.
 */
import { BLOCK_TOKENS, type Prompt } from '../workload/arrival.ts'

export class PrefixCache {
  readonly #tokensMax: number
  /** Sessions by their number, system prompts by what is below zero; in the order of their last use. */
  readonly #tokensOf = new Map<number, number>()
  #tokens = 0

  constructor(tokensMax: number) {
    this.#tokensMax = tokensMax
  }

  /** How many tokens need no work; the last block always does. */
  hit({ tokens, system, systemTokens, session, historyTokens }: Prompt): number {
    const known = Math.max(
      Math.min(this.#tokensOf.get(session) ?? 0, historyTokens),
      Math.min(this.#tokensOf.get(~system) ?? 0, systemTokens),
    )
    return BLOCK_TOKENS * Math.floor(Math.min(known, tokens - 1) / BLOCK_TOKENS)
  }

  /** `tokens`: of the prompt, and of its answer so far. */
  keep({ system, systemTokens, session }: Prompt, tokens: number): void {
    if (systemTokens > 0) this.#put(~system, systemTokens)
    this.#put(session, tokens)
    for (const [key, size] of this.#tokensOf) {
      if (this.#tokens <= this.#tokensMax) break
      this.#tokensOf.delete(key)
      this.#tokens -= size
    }
  }

  clear(): void {
    this.#tokensOf.clear()
    this.#tokens = 0
  }

  #put(key: number, tokens: number): void {
    const before = this.#tokensOf.get(key) ?? 0
    const after = Math.max(before, tokens)
    this.#tokensOf.delete(key)
    this.#tokensOf.set(key, after)
    this.#tokens += after - before
  }
}
