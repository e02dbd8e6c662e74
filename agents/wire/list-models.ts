/** Asks the inference server over gRPC which models it has ready. */
import { credentials, Metadata } from '@grpc/grpc-js'
import { limits } from '../../core/limits.ts'
import { GRPCInferenceServiceClient } from '../../proto/gen/inference/grpc_service.ts'

export type ModelLister = {
  /** Undefined when the server does not say. */
  list(): Promise<readonly string[] | undefined>
  close(): void
}

export function modelLister(address: string): ModelLister {
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
