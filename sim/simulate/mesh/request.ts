/** One request on its way through the simulated mesh: what it is, where it is, and what has become of it. */
import type { Pass } from '../../../data-plane/admission/pass.ts'
import type { EndpointSlot } from '../../../data-plane/routing/endpoint-slot.ts'
import type { Job } from '../servers/server.ts'
import type { Arrival } from '../workload/arrival.ts'

export class Request implements Job {
  readonly id: number
  readonly at: Arrival['at']
  readonly tenant: number
  readonly prompt: Arrival['prompt']
  readonly outputTokens: number
  /** Which proxy it came to. */
  readonly proxy: number
  /** Of the attempt that runs. */
  slot: EndpointSlot | undefined
  attemptAt = 0
  attempts = 0
  readonly excluded: EndpointSlot[] = []
  firstTokenAt: number | undefined
  /** Where its proxy has a queue. */
  pass: Pass<Request> | undefined
  /** Tokens that its client has for certain: nobody counts those of an answer that goes on. */
  answered = 0

  constructor(id: number, proxy: number, { at, tenant, prompt, outputTokens }: Arrival) {
    this.id = id
    this.proxy = proxy
    this.at = at
    this.tenant = tenant
    this.prompt = prompt
    this.outputTokens = outputTokens
  }
}

/** `late`: its client stopped waiting. */
export type RequestEnd = 'done' | 'refused' | 'failed' | 'late'
