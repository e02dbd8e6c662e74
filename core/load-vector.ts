import type { Millis } from './units.ts'

/** What an inference server says of its load. Unknown is absent, never zero. */
export type LoadVector = {
  /** Requests accepted and not yet executing. */
  readonly queueDepth?: number
  readonly running?: number
  /** 0..1 */
  readonly kvCacheUse?: number
  readonly tokensPerSecond?: number
  /** Requests finished per second over the last interval. */
  readonly requestsPerSecond?: number
}

/** A load vector and when it was known to be so, on the holder's own clock. */
export type DatedLoad = { readonly load: LoadVector; sampledAt: Millis }

/** Where each number was read, in words. Beside the load and not in it: whoever routes by the numbers holds none of this. */
export type LoadSources = { readonly [Field in keyof LoadVector | 'capacity']?: string }

export type SourcedLoad = {
  readonly load: LoadVector
  /** Requests that the server takes at once. */
  readonly capacity?: number
  readonly sources: LoadSources
}
