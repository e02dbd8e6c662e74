/** One gRPC client for each server that speaks KServe v2: what it serves, what a model is, and a tiny inference. Every way to go wrong is an answer. */
import {
  type ChannelOptions,
  type ClientUnaryCall,
  connectivityState,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js'
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import {
  GRPCInferenceServiceClient,
  type ModelConfigResponse,
  type ModelInferRequest,
  type ModelInferResponse,
  type ModelMetadataResponse,
  type RepositoryIndexResponse,
} from '../../proto/gen/inference/grpc_service.ts'
import type { ModelFacts } from '../probe/tiny-request.ts'
import type { Outcome } from '../probe/weigh-answer.ts'

export type KserveClient = {
  /** Undefined when the server has no list. */
  list(): Promise<readonly string[] | undefined | 'refused'>
  facts(model: string): Promise<ModelFacts | Outcome>
  /** The first answer is enough; what would follow is cancelled. */
  infer(request: ModelInferRequest, decoupled: boolean, timeout: Millis): Promise<Outcome>
  /** Gives up what is under way. */
  close(): void
}

const OPTIONS: ChannelOptions = {
  'grpc.max_receive_message_length': limits.localMessageMax,
  // A server that comes back is asked at once, not after a pause that grew while it was away.
  'grpc.max_reconnect_backoff_ms': limits.reportPeriod,
  'grpc.initial_reconnect_backoff_ms': limits.reportPeriod,
  // Two servers at one address in turn are two servers.
  'grpc.use_local_subchannel_pool': 1,
}
/** It becomes part of a reason, which a report carries whole. */
const DETAIL_MAX = limits.reportTextMax / 2
const NO_METADATA = new Metadata()
const within = (timeout: Millis) => ({ deadline: Date.now() + timeout })

/** `onLoss`: the connection over which it answered broke. */
export function kserveClient(address: string, onLoss: () => void): KserveClient {
  const client = new GRPCInferenceServiceClient(address, credentials.createInsecure(), OPTIONS)
  const open = new Set<{ cancel(): void }>()
  let [heeded, closed] = [false, false]
  /** It has just answered: from here on a broken connection is news. */
  const heed = (): void => {
    if (heeded || closed) return
    heeded = true
    client.getChannel().watchConnectivityState(connectivityState.READY, Number.POSITIVE_INFINITY, () => {
      heeded = false
      if (!closed) onLoss()
    })
  }
  const outcomeOf = (error: ServiceError, timeout: Millis): Outcome => {
    if (error.code === status.DEADLINE_EXCEEDED) return { kind: 'timeout', after: timeout }
    // A status by the server came over a connection that stands; one that grpc-js made up has none.
    if (client.getChannel().getConnectivityState(false) === connectivityState.READY)
      return { kind: 'status', code: error.code, detail: error.details.slice(0, DETAIL_MAX) }
    return error.details.includes('ECONNREFUSED') ? { kind: 'refused' } : { kind: 'broken', detail: 'its gRPC port breaks the connection' }
  }
  /** `start` begins a unary call, whose answer or error goes to its callback. */
  const unary = <T>(start: (callback: (error: ServiceError | null, answer: T) => void) => ClientUnaryCall) =>
    new Promise<T | ServiceError>((resolve) => {
      const call = start((error, answer) => {
        open.delete(call)
        resolve(error ?? answer)
      })
      open.add(call)
    })
  return {
    async list() {
      const request = { repositoryName: '', ready: true }
      const index = await unary<RepositoryIndexResponse>((done) =>
        client.repositoryIndex(request, NO_METADATA, within(limits.localCallTimeout), done),
      )
      if (index instanceof Error) return outcomeOf(index, limits.localCallTimeout).kind === 'refused' ? 'refused' : undefined
      heed()
      // A server that ignores the filter still says which are ready; one without states lists what it serves.
      const ready = index.models.filter(({ state }) => state === 'READY' || state === '').map(({ name }) => name)
      return [...new Set(ready)].sort().slice(0, limits.modelsPerEndpointMax)
    },
    async facts(model) {
      const timeout = limits.deepProbeTimeout
      const named = { name: model, version: '' }
      const metadata = await unary<ModelMetadataResponse>((done) => client.modelMetadata(named, NO_METADATA, within(timeout), done))
      if (metadata instanceof Error) return outcomeOf(metadata, timeout)
      // A server that has no ModelConfig has neither decoupled models nor optional inputs, as far as anybody can know.
      const answer = await unary<ModelConfigResponse>((done) => client.modelConfig(named, NO_METADATA, within(timeout), done))
      const config = answer instanceof Error ? undefined : answer.config
      return {
        name: model,
        inputs: metadata.inputs,
        optional: new Set(config?.input.filter(({ optional }) => optional).map(({ name }) => name)),
        decoupled: config?.modelTransactionPolicy?.decoupled ?? false,
        sequence: config?.sequenceBatching !== undefined,
      }
    },
    async infer(request, decoupled, timeout) {
      if (decoupled) return firstOfStream(client, request, timeout, open, outcomeOf)
      const answer = await unary<ModelInferResponse>((done) => client.modelInfer(request, NO_METADATA, within(timeout), done))
      return answer instanceof Error ? outcomeOf(answer, timeout) : { kind: 'answered' }
    },
    close() {
      closed = true
      for (const call of open) call.cancel()
      client.close()
    },
  }
}

function firstOfStream(
  client: GRPCInferenceServiceClient,
  request: ModelInferRequest,
  timeout: Millis,
  open: Set<{ cancel(): void }>,
  outcomeOf: (error: ServiceError, timeout: Millis) => Outcome,
): Promise<Outcome> {
  return new Promise((resolve) => {
    const stream = client.modelStreamInfer(NO_METADATA, within(timeout))
    open.add(stream)
    const end = (outcome: Outcome): void => {
      open.delete(stream)
      resolve(outcome)
    }
    stream.once('data', ({ errorMessage }) => {
      // An error within a stream carries no status.
      end(errorMessage === '' ? { kind: 'answered' } : streamError(errorMessage))
      stream.cancel()
    })
    stream.on('error', (error: ServiceError) => end(outcomeOf(error, timeout)))
    // A decoupled model may end without an answer.
    stream.once('end', () => end({ kind: 'answered' }))
    stream.write(request)
    stream.end()
  })
}

/** Triton's words for a full queue; anything else is the model's own fault or the request's. */
const QUEUE_FULL = /exceeds maximum queue size|queue is full|timeout expired/i
const streamError = (detail: string): Outcome => ({
  kind: 'status',
  code: QUEUE_FULL.test(detail) ? status.UNAVAILABLE : status.INTERNAL,
  detail: detail.slice(0, DETAIL_MAX),
})
