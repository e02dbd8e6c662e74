/**
 * A small steady load of unary requests, open loop: what goes out does not wait for what comes back, so a mesh that stalls is seen to stall. But a load
 * that was itself held up sends no burst to make up for it, and a machine too slow for it sets its pace: neither is the mesh's fault. Each
 * request is kept with how it ended and who served it. The client never retries by itself: what a test counts is what the mesh did. What never left it is
 * sent again: a request that waits in the client's HTTP/2 when a GOAWAY comes is refused right there, and gRPC sends it anew, retries or not (A6).
 */
import { setTimeout as wait } from 'node:timers/promises'
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { ModelInferRequest } from '../../proto/gen/inference/grpc_service.ts'
import { InferenceServiceService } from '../../proto/gen/millrace/inference/v1/inference.ts'

export type Sent = {
  /** By performance.now(). */
  readonly startedAt: number
  /** Which of the load's connections carried it. */
  readonly connection: number
  /** Response headers came, whatever came after them. */
  headersCame: boolean
  endpoint: string | undefined
  /** Undefined while it runs. */
  end: { readonly at: number; readonly code: number; readonly details: string } | undefined
}

export type LoadOptions = {
  readonly to: string
  readonly perSecond: number
  readonly connections?: number
  readonly tokens?: number
  readonly model?: string
}

const DEADLINE_MS = 20_000
const TICK_MS = 5
/** What was due so long ago is not sent any more. */
const LATE_MAX_MS = 100
/** So many seconds' requests run at most. */
const OPEN_MAX_SECONDS = 5
/** As grpc-js words a stream that its peer has not looked at, or that was never opened. */
const NEVER_LEFT = 'Stream refused by server'
const PATH = InferenceServiceService.infer.path

const asIs = (bytes: Buffer): Buffer => bytes

export class Load {
  readonly sent: Sent[] = []
  readonly #options: LoadOptions
  readonly #clients: readonly Client[]
  readonly #request: Buffer
  #began = performance.now()
  readonly #timer: NodeJS.Timeout
  #open = 0

  constructor(options: LoadOptions) {
    this.#options = options
    this.#request = unaryRequest(options.model ?? 'sim_llm', options.tokens ?? 2)
    this.#clients = Array.from(
      { length: options.connections ?? 4 },
      () =>
        new Client(options.to, credentials.createInsecure(), {
          'grpc.enable_retries': 0,
          'grpc.use_local_subchannel_pool': 1,
          'grpc.initial_reconnect_backoff_ms': 100,
          'grpc.max_reconnect_backoff_ms': 500,
        }),
    )
    this.#timer = setInterval(() => this.#sendDue(), TICK_MS)
  }

  /** Those that have ended, by when they started. */
  ended(from = Number.NEGATIVE_INFINITY, to = Number.POSITIVE_INFINITY): readonly Sent[] {
    return this.sent.slice(this.#firstSince(from), this.#firstSince(to)).filter((one) => one.end !== undefined)
  }

  /** Those that did not end with OK. */
  failed(from?: number, to?: number): readonly Sent[] {
    return this.ended(from, to).filter((one) => one.end?.code !== status.OK)
  }

  /** Requests started in the span, by who served them. */
  served(from?: number, to?: number): ReadonlyMap<string, number> {
    const counts = new Map<string, number>()
    for (const { endpoint } of this.ended(from, to)) if (endpoint !== undefined) counts.set(endpoint, (counts.get(endpoint) ?? 0) + 1)
    return counts
  }

  /**
   * How many milliseconds after `since` the first span of `spanMs` begins in which `holds`; undefined while there is none. A span counts when all that
   * started in it has ended.
   */
  heldAfter(since: number, spanMs: number, holds: (served: ReadonlyMap<string, number>) => boolean): number | undefined {
    const openFrom = this.sent.find((one) => one.end === undefined)?.startedAt ?? this.sent.at(-1)?.startedAt ?? since
    for (let from = since; from + spanMs <= openFrom; from += TICK_MS)
      if (holds(this.served(from, from + spanMs))) return Math.round(from - since)
    return undefined
  }

  /** How many milliseconds after `since` the last request started that the endpoint served; 0 when none did. */
  lastServedAfter(since: number, endpoint: string): number {
    const last = this.ended(since).findLast((one) => one.endpoint === endpoint)
    return last === undefined ? 0 : Math.round(last.startedAt - since)
  }

  /** Sends no more; resolves when every request has ended. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    while (this.#open > 0) await wait(TICK_MS)
    for (const client of this.#clients) client.close()
  }

  /** They stand in the order in which they started. */
  #firstSince(at: number): number {
    let low = 0
    let high = this.sent.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.sent[middle]?.startedAt ?? at) < at) low = middle + 1
      else high = middle
    }
    return low
  }

  #sendDue(): void {
    const { perSecond } = this.#options
    const late = performance.now() - this.#began - (this.sent.length * 1_000) / perSecond
    this.#began += Math.max(0, late - LATE_MAX_MS)
    const due = ((performance.now() - this.#began) * perSecond) / 1_000
    while (this.sent.length < due && this.#open < perSecond * OPEN_MAX_SECONDS) this.#send()
  }

  #send(): void {
    const connection = this.sent.length % this.#clients.length
    const one: Sent = { startedAt: performance.now(), connection, headersCame: false, endpoint: undefined, end: undefined }
    this.sent.push(one)
    this.#open++
    this.#call(one)
  }

  #call(one: Sent): void {
    const onEnd = (error: ServiceError | null): void => {
      if (error?.details === NEVER_LEFT && !one.headersCame && performance.now() < one.startedAt + DEADLINE_MS) return this.#call(one)
      this.#open--
      one.endpoint ??= error === null ? undefined : endpointOf(error.metadata)
      one.end = { at: performance.now(), code: error?.code ?? status.OK, details: error?.details ?? '' }
    }
    const options = { deadline: Date.now() + DEADLINE_MS }
    this.#clients[one.connection]
      ?.makeUnaryRequest(PATH, asIs, asIs, this.#request, new Metadata(), options, onEnd)
      .on('metadata', (headers: Metadata) => {
        one.headersCame = true
        one.endpoint = endpointOf(headers)
      })
  }
}

const endpointOf = (metadata: Metadata | undefined): string | undefined => metadata?.get('x-millrace-endpoint')[0]?.toString()

function unaryRequest(modelName: string, tokens: number): Buffer {
  const inputs = [
    { name: 'text_input', datatype: 'BYTES', shape: [1n], contents: { bytesContents: [Buffer.from('a question')] } },
    { name: 'max_tokens', datatype: 'INT32', shape: [1n], contents: { intContents: [tokens] } },
  ]
  return Buffer.from(ModelInferRequest.encode(ModelInferRequest.fromPartial({ modelName, inputs })).finish())
}

/** A mean of the others' counts is what one endpoint's count is held against. */
export function shareOfPeers(served: ReadonlyMap<string, number>, endpoint: string, endpoints: readonly string[]): number {
  const peers = endpoints.filter((one) => one !== endpoint)
  const mean = peers.reduce((sum, one) => sum + (served.get(one) ?? 0), 0) / peers.length
  return mean === 0 ? Number.POSITIVE_INFINITY : (served.get(endpoint) ?? 0) / mean
}
