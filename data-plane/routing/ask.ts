/** One question for an endpoint: what a choice may depend on beside the endpoints themselves. Made once for each attempt. */
import type { Millis } from '../../core/units.ts'
import type { EndpointSlot } from './endpoint-slot.ts'

export type Ask = {
  readonly now: Millis
  /** Answers a number in [0, 1). */
  readonly draw: () => number
  /** Endpoints that this request has tried, or found full. */
  readonly excluded: readonly EndpointSlot[]
  /** Filled with those that the policy weighed against one another, when somebody wants to know. */
  readonly compared?: EndpointSlot[] | undefined
  /** Of the session, or what else its model's row hashes by: 32 bits. Absent when the request names none. */
  readonly key?: number | undefined
  /** Of the LoRA adapter that is asked for, as a hash. */
  readonly adapter?: number | undefined
  /** Hashes of the prompt's blocks, each of its block and all before it; absent when nobody asked for them. */
  readonly prompt?: Uint32Array | undefined
}
