/** What the simulated server says of itself: health, metadata, configuration, statistics. It says of itself that it is simulated. */
import {
  ModelConfig,
  ModelConfigRequest,
  ModelConfigResponse,
  ModelMetadataRequest,
  ModelMetadataResponse,
  ModelReadyRequest,
  ModelReadyResponse,
  ModelStatisticsRequest,
  ModelStatisticsResponse,
  RepositoryIndexResponse,
  ServerLiveResponse,
  ServerMetadataResponse,
  ServerReadyResponse,
} from '../../proto/gen/inference/grpc_service.ts'
import type { Engine } from './engine.ts'
import { type Method, STATUS } from './grpc-http2.ts'
import { newTally, statisticsOf } from './tally.ts'
import { frameOf, MODEL_VERSION } from './token-message.ts'

export const SERVER_NAME = 'millrace-sim'
const SERVER_VERSION = '1'
const PLATFORM = 'simulated'

class NotFound extends Error {}

/** A unary method that answers at once. */
const answer =
  (encode: (request: Buffer) => Uint8Array): Method =>
  (call) => ({
    onMessage(request) {
      let message: Uint8Array
      try {
        message = encode(request)
      } catch (error) {
        return call.finish(error instanceof NotFound ? STATUS.NOT_FOUND : STATUS.INVALID_ARGUMENT, (error as Error).message)
      }
      call.send(frameOf(message))
      call.finish(STATUS.OK)
    },
    onHalfClose: () => call.finish(STATUS.INTERNAL, 'the call ended without a request'),
  })

export const isReady = (engine: Engine): boolean => engine.behaviour.mode !== 'not-ready'

export const repositoryIndex = (engine: Engine): { name: string; version: string; state: string; reason: string }[] =>
  [...engine.tallies.keys()].map((name) =>
    isReady(engine)
      ? { name, version: MODEL_VERSION, state: 'READY', reason: '' }
      : { name, version: MODEL_VERSION, state: 'UNAVAILABLE', reason: 'simulated: not ready' },
  )

export function aboutMethods(engine: Engine): [string, Method][] {
  const known = (name: string): string => {
    if (!engine.tallies.has(name)) throw new NotFound(`Request for unknown model: '${name}' is not found`)
    return name
  }
  const tensor = (name: string, datatype: string): { name: string; datatype: string; shape: bigint[] } => ({ name, datatype, shape: [1n] })
  return [
    ['ServerLive', answer(() => ServerLiveResponse.encode({ live: true }).finish())],
    ['ServerReady', answer(() => ServerReadyResponse.encode({ ready: isReady(engine) }).finish())],
    [
      'ModelReady',
      answer((request) => {
        known(ModelReadyRequest.decode(request).name)
        return ModelReadyResponse.encode({ ready: isReady(engine) }).finish()
      }),
    ],
    [
      'ServerMetadata',
      answer(() =>
        ServerMetadataResponse.encode({
          name: SERVER_NAME,
          version: SERVER_VERSION,
          extensions: ['simulated', 'statistics', 'model_repository'],
        }).finish(),
      ),
    ],
    [
      'ModelMetadata',
      answer((request) =>
        ModelMetadataResponse.encode({
          name: known(ModelMetadataRequest.decode(request).name),
          versions: [MODEL_VERSION],
          platform: PLATFORM,
          inputs: [tensor('text_input', 'BYTES'), tensor('max_tokens', 'INT32')],
          outputs: [tensor('text_output', 'BYTES'), tensor('token_index', 'INT32')],
        }).finish(),
      ),
    ],
    [
      'ModelConfig',
      answer((request) => {
        const name = known(ModelConfigRequest.decode(request).name)
        const config = ModelConfig.fromPartial({
          name,
          platform: PLATFORM,
          backend: PLATFORM,
          input: [{ name: 'text_input' }, { name: 'max_tokens', optional: true }],
          modelTransactionPolicy: { decoupled: true },
        })
        return ModelConfigResponse.encode({ config }).finish()
      }),
    ],
    [
      'ModelStatistics',
      answer((request) => {
        const { name } = ModelStatisticsRequest.decode(request)
        const names = name === '' ? [...engine.tallies.keys()] : [known(name)]
        const modelStats = names.map((one) => statisticsOf(one, engine.tallies.get(one) ?? newTally()))
        return ModelStatisticsResponse.encode({ modelStats }).finish()
      }),
    ],
    ['RepositoryIndex', answer(() => RepositoryIndexResponse.encode({ models: repositoryIndex(engine) }).finish())],
  ]
}
