/**
 * What a simulated model server is to the rest: it takes jobs, tells of first tokens and ends, and says of its load what its metrics page would. All time
 * is an argument; whoever owns it calls `advance` no later than `nextAt`.
 */
import type { Millis } from '../../../core/units.ts'
import type { EndpointLoad } from '../../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import type { Prompt } from '../workload/arrival.ts'

/** One attempt on one server; whoever offers it keeps it until its end. */
export type Job = {
  readonly prompt: Prompt
  readonly outputTokens: number
}

export type Placed = 'taken' | 'refused'

export type ServerEvents<J extends Job> = {
  onFirstToken(job: J, at: Millis): void
  onEnd(job: J, at: Millis): void
}

export type Server<J extends Job> = {
  /** Requests that it runs at once, as its agent is told. */
  readonly slots: number
  offer(job: J, now: Millis): Placed
  /** The client left: what was done for it is lost. */
  cancel(job: J, now: Millis): void
  /** Infinity while nothing is to come. */
  nextAt(): number
  advance(now: Millis): void
  /** 1 is full speed; 0 stands still. */
  setSpeed(factor: number, now: Millis): void
  /** All that it had is gone. Answers whom it had. */
  crash(now: Millis): readonly J[]
  /** As its agent reads it; rates since the last call. */
  load(now: Millis): EndpointLoad
}
