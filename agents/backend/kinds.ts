/**
 * The inference servers that an agent knows: where each answers by default, what it is asked, and what proxies speak to it. Facts only, for whoever looks
 * for servers, probes them or reads their load; what a kind's metrics mean stands in the file of its name.
 * Invariant: the first kind is what a server is taken for when nobody says.
 */
import { Protocol } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { available } from './tf-serving-status.ts'

export const SERVER_KINDS = ['triton', 'vllm', 'sglang', 'tgi', 'torchserve', 'ray-serve', 'tf-serving', 'llama-cpp'] as const
export type ServerKind = (typeof SERVER_KINDS)[number]

/** Which of a server's HTTP ports a page is on. */
export type Door = 'http' | 'metrics' | 'management'

/** Asked by GET. `{model}` in the path stands for a model's name, and asks once for each. */
export type Page = { readonly door: Door; readonly path: string }

export type KindFacts = {
  /** By default. A door without a port has to be told. */
  readonly ports: { readonly [D in Door]?: number } & { readonly grpc?: number; readonly http: number }
  /** What proxies speak to its gRPC port; absent where it has none, and only HTTP reaches it. */
  readonly grpc?: Protocol
  /** 200 says ready, any other status not; where a body has to agree, `ready` reads it. */
  readonly health: Page & { readonly ready?: (body: string) => boolean }
  /** In Prometheus' text form. */
  readonly metrics: Page
  /** What else tells of its load, and is read by the kind's own file. `lasting` when it changes with the server's settings only. */
  readonly load?: Page & { readonly lasting: boolean }
  /** `kserve-index`: RepositoryIndex over gRPC. `page`: `readModelNames` reads it. `told`: the server has no list, its owner says. */
  readonly models: { readonly from: 'kserve-index' } | ({ readonly from: 'page' } & Page) | { readonly from: 'told' }
}

const onHttp = (path: string): Page => ({ door: 'http', path })

const OPENAI_MODELS = { from: 'page', ...onHttp('/v1/models') } as const

export const KINDS: Readonly<Record<ServerKind, KindFacts>> = {
  triton: {
    ports: { grpc: 8001, http: 8000, metrics: 8002 },
    grpc: Protocol.PROTOCOL_KSERVE_GRPC,
    health: onHttp('/v2/health/ready'),
    metrics: { door: 'metrics', path: '/metrics' },
    models: { from: 'kserve-index' },
  },
  vllm: { ports: { http: 8000 }, health: onHttp('/health'), metrics: onHttp('/metrics'), models: OPENAI_MODELS },
  sglang: { ports: { http: 30_000 }, health: onHttp('/health'), metrics: onHttp('/metrics'), models: OPENAI_MODELS },
  tgi: {
    ports: { http: 3000 },
    health: onHttp('/health'),
    metrics: onHttp('/metrics'),
    load: { ...onHttp('/info'), lasting: true },
    models: { from: 'page', ...onHttp('/info') },
  },
  torchserve: {
    ports: { grpc: 7070, http: 8080, metrics: 8082, management: 8081 },
    grpc: Protocol.PROTOCOL_GRPC,
    health: onHttp('/ping'),
    metrics: { door: 'metrics', path: '/metrics' },
    load: { door: 'management', path: '/models/{model}', lasting: false },
    models: { from: 'page', door: 'management', path: '/models?limit=1000' },
  },
  'ray-serve': {
    // Ray draws its metrics port at every start, unless --metrics-export-port says otherwise.
    ports: { grpc: 9000, http: 8000 },
    grpc: Protocol.PROTOCOL_GRPC,
    health: onHttp('/-/healthz'),
    metrics: { door: 'metrics', path: '/metrics' },
    models: { from: 'page', ...onHttp('/-/routes') },
  },
  'tf-serving': {
    ports: { grpc: 8500, http: 8501 },
    grpc: Protocol.PROTOCOL_GRPC,
    health: { ...onHttp('/v1/models/{model}'), ready: available },
    metrics: onHttp('/monitoring/prometheus/metrics'),
    models: { from: 'told' },
  },
  'llama-cpp': {
    ports: { http: 8080 },
    health: onHttp('/health'),
    metrics: onHttp('/metrics'),
    load: { ...onHttp('/props'), lasting: true },
    models: OPENAI_MODELS,
  },
}

export const isServerKind = (text: string): text is ServerKind => (SERVER_KINDS as readonly string[]).includes(text)

/** What proxies speak to a server of the kind, of which is known whether it has its gRPC port open. */
export const protocolOf = (kind: ServerKind, hasGrpc: boolean): Protocol =>
  (hasGrpc ? KINDS[kind].grpc : undefined) ?? Protocol.PROTOCOL_HTTP
