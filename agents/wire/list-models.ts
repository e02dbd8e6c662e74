/** Asks the inference server which models it has ready: over gRPC, or on the page where its kind lists them. */
import { credentials, Metadata } from '@grpc/grpc-js'
import { limits } from '../../core/limits.ts'
import { GRPCInferenceServiceClient } from '../../proto/gen/inference/grpc_service.ts'
import { KINDS, type ServerKind } from '../backend/kinds.ts'
import { readModelNames } from '../backend/model-names.ts'
import { type ServerSpec, urlOf } from '../discovery/server-spec.ts'
import { httpAsk } from './http-ask.ts'

export type ModelLister = {
  /** Undefined when the server does not say. */
  list(): Promise<readonly string[] | undefined>
  close(): void
}

/** Undefined for a kind that has no list, or none that can be reached. */
export function modelLister(spec: ServerSpec): ModelLister | undefined {
  const { models } = KINDS[spec.kind]
  switch (models.from) {
    case 'kserve-index':
      return spec.grpc === undefined ? undefined : indexLister(spec.grpc)
    case 'page': {
      const url = urlOf(spec, models)
      return url === undefined ? undefined : pageLister(spec.kind, url)
    }
    case 'told':
      return undefined
    default:
      return models satisfies never
  }
}

const pageLister = (kind: ServerKind, url: string): ModelLister => ({
  async list() {
    const answer = await httpAsk(url, limits.localCallTimeout, limits.localMessageMax)
    return answer.kind === 'answer' && answer.status === 200 ? readModelNames(kind, answer.body) : undefined
  },
  close: () => {},
})

function indexLister(address: string): ModelLister {
  const client = new GRPCInferenceServiceClient(address, credentials.createInsecure(), {
    'grpc.max_receive_message_length': limits.localMessageMax,
    // A server that comes back is asked at once, not after a pause that grew while it was away.
    'grpc.max_reconnect_backoff_ms': limits.reportPeriod,
    'grpc.initial_reconnect_backoff_ms': limits.reportPeriod,
  })
  return {
    list: () =>
      new Promise((resolve) => {
        const request = { repositoryName: '', ready: true }
        client.repositoryIndex(request, new Metadata(), { deadline: Date.now() + limits.localCallTimeout }, (error, index) => {
          if (error !== null) return resolve(undefined)
          // A server that ignores the filter still says which are ready; one without states lists what it serves.
          const ready = index.models.filter(({ state }) => state === 'READY' || state === '').map(({ name }) => name)
          resolve([...new Set(ready)].sort().slice(0, limits.modelsPerEndpointMax))
        })
      }),
    close: () => client.close(),
  }
}
