/** One request as it arrives, before anybody has chosen a server for it. */
import type { Millis } from '../../../core/units.ts'

/** What a prompt has in common with others, in tokens from its beginning. */
export type Prompt = {
  readonly tokens: number
  /** Prompts of the same system begin with the same `systemTokens`. */
  readonly system: number
  readonly systemTokens: number
  /** The first `historyTokens` are what the session's turns before said and were answered. */
  readonly session: number
  readonly historyTokens: number
}

export type Arrival = {
  readonly at: Millis
  readonly tenant: number
  readonly prompt: Prompt
  readonly outputTokens: number
}

/** Never ends. */
export type Traffic = { next(): Arrival }

/** Traffic at a rate, from a moment on. */
export type TrafficSource = (ratePerSecond: number, from: Millis, draw: () => number) => Traffic

/** As tokens of English text have. */
export const LETTERS_PER_TOKEN = 4

/** In tokens; what prefix caches and their trackers count in. */
export const BLOCK_TOKENS = 16

/**
 * The chained hashes of a prompt's whole blocks: two prompts agree in the first n exactly when their first n blocks do. Whatever is in no session before
 * belongs to this turn of this session.
 */
export function blockHashes(prompt: Prompt, blocksMax: number, blockTokens: number = BLOCK_TOKENS): Uint32Array {
  const blocks = new Uint32Array(Math.min(Math.floor(prompt.tokens / blockTokens), blocksMax))
  const systemBlocks = Math.floor(prompt.systemTokens / blockTokens)
  let chain = 0x811c9dc5
  for (let at = 0; at < blocks.length; at++) {
    const owner = at < systemBlocks ? prompt.system : ~prompt.session
    chain = mix(Math.imul(chain ^ owner, 0x01000193) ^ at)
    blocks[at] = chain
  }
  return blocks
}

function mix(value: number): number {
  let mixed = value ^ (value >>> 16)
  mixed = Math.imul(mixed, 0x85ebca6b)
  mixed ^= mixed >>> 13
  return mixed | 0
}
