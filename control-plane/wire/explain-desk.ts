/**
 * Passes an operator's "why?" on to the proxies that follow this control plane, and gathers what they answer in time. So many questions wait at once, and
 * of a large fleet of proxies so many are asked; who was not, and who did not answer, is said.
 */
import { type ServerUnaryCall, type ServiceError, type sendUnaryData, status } from '@grpc/grpc-js'
import { limits } from '../../core/limits.ts'
import type { ExplainRouteRequest, ExplainRouteResponse, ProxyExplanation } from '../../proto/gen/millrace/admin/v1/admin.ts'
import type { ExplainQuery, ExplainReply } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import type { StreamId } from '../state.ts'

/** A proxy as it can be asked. */
export type AskedProxy = { readonly proxyId: string; readonly stream: StreamId; ask(query: ExplainQuery): void }

type Question = { readonly asked: Map<StreamId, string>; readonly answers: ProxyExplanation[]; readonly done: () => void }
type Refusal = Pick<ServiceError, 'code' | 'details'>

export class ExplainDesk {
  readonly #proxies: () => readonly AskedProxy[]
  readonly #open = new Map<string, Question>()
  #last = 0

  constructor(proxies: () => readonly AskedProxy[]) {
    this.#proxies = proxies
  }

  async handle(
    { request }: Pick<ServerUnaryCall<ExplainRouteRequest, ExplainRouteResponse>, 'request'>,
    answer: sendUnaryData<ExplainRouteResponse>,
  ): Promise<void> {
    const refusal = this.#refusalOf(request)
    if (refusal === undefined) answer(null, await this.#gather(request))
    else answer(refusal)
  }

  /** Of a stream that was not asked, or too late: nobody waits for it. */
  answered(stream: StreamId, reply: ExplainReply): void {
    const question = this.#open.get(reply.queryId)
    const proxyId = question?.asked.get(stream)
    if (question === undefined || proxyId === undefined) return
    question.asked.delete(stream)
    question.answers.push({ proxyId, reply })
    if (question.asked.size === 0) question.done()
  }

  #refusalOf({ model, traceId, proxyId }: ExplainRouteRequest): Refusal | undefined {
    if (model === '' && traceId === '') return { code: status.INVALID_ARGUMENT, details: 'wants a model, a trace id, or both' }
    if (traceId !== '' && !/^[0-9a-f]{32}$/.test(traceId))
      return { code: status.INVALID_ARGUMENT, details: 'a trace id is 32 hexadecimal digits in small letters, as in traceparent' }
    if (this.#open.size >= limits.explainsWaitingMax)
      return { code: status.RESOURCE_EXHAUSTED, details: `${limits.explainsWaitingMax} questions wait for proxies already` }
    const proxies = this.#proxies()
    if (proxies.length === 0) return { code: status.NOT_FOUND, details: 'no proxy follows this control plane now' }
    if (proxyId === '' || proxies.some((proxy) => proxy.proxyId === proxyId)) return undefined
    const known = proxies.slice(0, PROXIES_NAMED_MAX).map((proxy) => proxy.proxyId)
    return { code: status.NOT_FOUND, details: `no proxy "${proxyId.slice(0, limits.reportTextMax)}" here; there are ${known.join(', ')}` }
  }

  async #gather({ model, traceId, proxyId, decisionsMax }: ExplainRouteRequest): Promise<ExplainRouteResponse> {
    const wanted = this.#proxies().filter((proxy) => proxyId === '' || proxy.proxyId === proxyId)
    const some = wanted.slice(0, limits.explainProxiesMax)
    const queryId = String(++this.#last)
    const { promise, resolve } = Promise.withResolvers<void>()
    const question: Question = { asked: new Map(some.map((proxy) => [proxy.stream, proxy.proxyId])), answers: [], done: resolve }
    this.#open.set(queryId, question)
    const late = setTimeout(resolve, limits.explainTimeout)
    for (const proxy of some) proxy.ask({ queryId, model, traceId, decisionsMax })
    await promise
    clearTimeout(late)
    this.#open.delete(queryId)
    return { proxies: question.answers, silent: [...question.asked.values()], notAsked: wanted.length - some.length }
  }
}

const PROXIES_NAMED_MAX = 20
