/** The ways in which the simulated server misbehaves, as its flag and its control page name them. One at a time; `normal` ends it. */
import { z } from 'zod'

export const MODES = ['normal', 'slow', 'stall', 'reset', 'drop', 'refuse', 'queue-full', 'not-ready'] as const
export type Mode = (typeof MODES)[number]

export type Behaviour = {
  readonly mode: Mode
  /** stall, reset, drop: so many tokens of a request still come. */
  readonly afterTokens: number
  /** slow: every span takes this many times as long. */
  readonly factor: number
}

export const AFTER_TOKENS = 3
export const SLOW_FACTOR = 10

/** What each mode does, for the help and the control page. */
export const MODE_MEANINGS: Readonly<Record<Mode, string>> = {
  normal: 'serves',
  slow: 'every span takes `factor` times as long',
  stall: 'after `afterTokens` tokens nothing more comes, and the slot stays taken',
  reset: 'after `afterTokens` tokens the stream is reset with INTERNAL_ERROR',
  drop: 'after `afterTokens` tokens the TCP connection is closed',
  refuse: 'every new stream is reset with REFUSED_STREAM',
  'queue-full': 'every new request is refused as when the queue is full',
  'not-ready': 'says of itself and of its models that they are not ready, yet serves',
}

export const behaviourSchema = z.strictObject({
  mode: z.enum(MODES),
  afterTokens: z.number().int().min(0).max(1_000_000).default(AFTER_TOKENS),
  factor: z.number().min(0.001).max(10_000).default(SLOW_FACTOR),
})
