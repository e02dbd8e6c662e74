/** Which methods a proxy knows, and what it does with each. Anything else goes by path prefix, or is refused. */
import { type HeaderField, headerField } from '../http2/header-field.ts'

const KSERVE = '/inference.GRPCInferenceService/'
const MILLRACE = '/millrace.inference.v1.InferenceService/'

export type Method =
  /** Routed by the model that the first message names; the bytes go on untouched. */
  | { readonly kind: 'by-model'; readonly upstreamPath: HeaderField; readonly streaming: boolean; readonly infers: boolean }
  /** Any endpoint can answer it. */
  | { readonly kind: 'any'; readonly upstreamPath: HeaderField }
  /** Answered by the proxy from what endpoints say. */
  | { readonly kind: 'local'; readonly answer: LocalAnswer; readonly upstreamPath: HeaderField }
  /** Answered by the proxy from what it knows. Ours come first: a route whose prefix covers such a path does not get it. */
  | { readonly kind: 'own'; readonly method: OwnMethod }
  /** Would act on one server behind everybody's back. */
  | { readonly kind: 'off'; readonly cure: string }

export type LocalAnswer = 'server-live' | 'server-ready' | 'model-ready' | 'repository-index' | 'model-statistics'
export type OwnMethod = 'health-check' | 'health-watch' | 'health-list' | 'reflection'

const pathOf = (method: string): HeaderField => headerField(':path', KSERVE + method)
const infer = (method: string, streaming = false): Method => ({ kind: 'by-model', upstreamPath: pathOf(method), streaming, infers: true })
const about = (method: string): Method => ({ kind: 'by-model', upstreamPath: pathOf(method), streaming: false, infers: false })
const local = (answer: LocalAnswer, method: string): Method => ({ kind: 'local', answer, upstreamPath: pathOf(method) })
const own = (method: OwnMethod): Method => ({ kind: 'own', method })
const off = (cure: string): Method => ({ kind: 'off', cure })

const LOAD = 'load and unload models on the server itself, then `millrace admin nodes` shows what it serves'
const MEMORY = 'shared memory is local to one host: send tensors in the request, or talk to that server directly'
const SERVER = 'this setting belongs to one server: talk to that server directly'

/** By their full names, as reflection lists them. */
export const OWN_SERVICES: readonly string[] = [
  'grpc.health.v1.Health',
  'grpc.reflection.v1.ServerReflection',
  'inference.GRPCInferenceService',
  'millrace.inference.v1.InferenceService',
]

export const METHODS: ReadonlyMap<string, Method> = new Map<string, Method>([
  [`${KSERVE}ModelInfer`, infer('ModelInfer')],
  [`${KSERVE}ModelStreamInfer`, infer('ModelStreamInfer', true)],
  [`${MILLRACE}Infer`, infer('ModelInfer')],
  [`${MILLRACE}StreamInfer`, infer('ModelStreamInfer', true)],
  [`${KSERVE}ModelMetadata`, about('ModelMetadata')],
  [`${KSERVE}ModelConfig`, about('ModelConfig')],
  [`${KSERVE}ServerMetadata`, { kind: 'any', upstreamPath: pathOf('ServerMetadata') }],
  [`${KSERVE}ServerLive`, local('server-live', 'ServerLive')],
  [`${KSERVE}ServerReady`, local('server-ready', 'ServerReady')],
  [`${KSERVE}ModelReady`, local('model-ready', 'ModelReady')],
  [`${KSERVE}RepositoryIndex`, local('repository-index', 'RepositoryIndex')],
  [`${KSERVE}ModelStatistics`, local('model-statistics', 'ModelStatistics')],
  ['/grpc.health.v1.Health/Check', own('health-check')],
  ['/grpc.health.v1.Health/Watch', own('health-watch')],
  ['/grpc.health.v1.Health/List', own('health-list')],
  ['/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', own('reflection')],
  // The same messages by an older name, which is answered and not listed: clients fall back to it.
  ['/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo', own('reflection')],
  [`${KSERVE}RepositoryModelLoad`, off(LOAD)],
  [`${KSERVE}RepositoryModelUnload`, off(LOAD)],
  [`${KSERVE}SystemSharedMemoryStatus`, off(MEMORY)],
  [`${KSERVE}SystemSharedMemoryRegister`, off(MEMORY)],
  [`${KSERVE}SystemSharedMemoryUnregister`, off(MEMORY)],
  [`${KSERVE}CudaSharedMemoryStatus`, off(MEMORY)],
  [`${KSERVE}CudaSharedMemoryRegister`, off(MEMORY)],
  [`${KSERVE}CudaSharedMemoryUnregister`, off(MEMORY)],
  [`${KSERVE}TraceSetting`, off(SERVER)],
  [`${KSERVE}LogSettings`, off(SERVER)],
])
