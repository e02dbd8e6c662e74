/** One picture of the fleet, as a proxy routes by it. Immutable: a change makes a new snapshot, and one reference is swapped. */

export const POLICIES = ['LEAST_WAIT', 'LEAST_REQUEST', 'PEAK_EWMA', 'PREQUAL', 'WEIGHTED', 'ROUND_ROBIN', 'RING_HASH', 'PREFIX'] as const
export type PolicyName = (typeof POLICIES)[number]

/** GRPC: another service than KServe's, reached by prefix routes only. HTTP: reached by no request. */
export const PROTOCOLS = ['KSERVE_GRPC', 'GRPC', 'HTTP'] as const
export type Protocol = (typeof PROTOCOLS)[number]

export const ENDPOINT_STATES = ['STARTING', 'READY', 'BUSY', 'DRAINING', 'FAILED', 'PROBATION'] as const
export type EndpointState = (typeof ENDPOINT_STATES)[number]

/** How long nobody has heard of an endpoint. Silence alone is never a failure: it only makes an endpoint the last choice. */
export type Freshness = 'fresh' | 'stale' | 'last-resort'

/** Whether an endpoint may be asked when nobody else is left; unsaid, FAILED may, DRAINING and STARTING may not. */
export type Panic = 'may' | 'never'

export type Endpoint = {
  /** `<node>/<name>`, unique in the mesh. */
  readonly id: string
  readonly node: string
  readonly zone: string
  /** host:port, [v6]:port or unix:/path. */
  readonly address: string
  readonly protocol: Protocol
  /** `name` serves every version of a model, `name@version` that one, `*` every model. */
  readonly models: readonly string[]
  /** ≥ 0, relative to the other endpoints of a model; 0 takes no share while others can. */
  readonly weight: number
  /** The factor of slow start within the weight, in 0..1; absent is 1. It bounds the share, and says nothing of how fast the endpoint is. */
  readonly slowStart?: number | undefined
  readonly state: EndpointState
  readonly freshness: Freshness
  readonly panic?: Panic | undefined
  /** Requests taken at once; 0 is unknown. */
  readonly capacity: number
  /** Absent: it is spoken to in clear. */
  readonly tls?: EndpointTls | undefined
}

/** How an endpoint is spoken to by TLS. Files are the proxy's own, in PEM. */
export type EndpointTls = {
  /** Authorities that may have signed its certificate; absent: those of the system. */
  readonly ca?: string | undefined
  /** What the proxy shows of itself; both or none. */
  readonly cert?: string | undefined
  readonly key?: string | undefined
  /** Sent as SNI, and checked; absent: the host of the address. */
  readonly serverName?: string | undefined
  /** A DNS name or URI that its certificate must hold, in place of the server's name. */
  readonly identity?: string | undefined
}

export type Model = {
  readonly name: string
  readonly policy: PolicyName
  readonly timeouts?: Timeouts | undefined
  /** Where a request says with which others it belongs together; absent: `SESSION_HEADER`. */
  readonly hashOn?: HashOn | undefined
  /** Requests of one key stay with one endpoint until it is FAILED or gone, whatever its load. */
  readonly pin?: boolean | undefined
  /** Absent: no request of the model waits in the proxy. */
  readonly admission?: Admission | undefined
  /** The model is a LoRA adapter of that one: the endpoints of either may serve it. */
  readonly adapterOf?: string | undefined
  /** The request parameter by which requests of the model name a LoRA adapter. */
  readonly adapterParameter?: string | undefined
  /** For PREFIX: the tensor that holds the prompt; absent: the first of datatype BYTES. */
  readonly prompt?: { readonly input: string } | undefined
  /** Other names by which clients may ask for it; no other row's name or alias. */
  readonly aliases?: readonly string[] | undefined
  /** Where requests that name no version go, in shares by weight. Followed from row to row, it never leads back. */
  readonly split?: readonly SplitPart[] | undefined
  /** Models that are asked instead, in this order, when no endpoint of this one can serve. */
  readonly fallbacks?: readonly string[] | undefined
  /** Another model that gets a copy of some of its requests; its answers are dropped. */
  readonly shadow?: Shadow | undefined
  readonly retry?: RetryRule | undefined
  readonly hedge?: HedgeRule | undefined
}

export type Shadow = {
  readonly model: string
  readonly version?: string | undefined
  /** Of the requests, in 0..1. */
  readonly share: number
}

/** A field of the request's head, or one of KServe's request parameters. */
export type HashOn = { readonly header: string } | { readonly parameter: string }

/** Read by proxies and not passed on. */
export const SESSION_HEADER = 'x-millrace-session'

/** How many requests of a model run at once, and who waits for how long before one is refused. Numbers are of a whole proxy. */
export type Admission = {
  /** Absent: what its endpoints can take, times `headroom`; no limit where one of them does not say what it can take. */
  readonly concurrency?: number | undefined
  /** ≥ 1: how much more is sent to endpoints than they take at once, for a short queue of their own. */
  readonly headroom?: number | undefined
  readonly queueMax?: number | undefined
  readonly queueBytesMax?: number | undefined
  readonly maxWaitMs?: number | undefined
  /** The metadata key by which a request says its band, by name or by number; highest first. */
  readonly priorityKey?: string | undefined
  readonly bands?: readonly string[] | undefined
  /** Of a request that says none, or one that there is not; absent: the lowest. */
  readonly defaultBand?: string | undefined
  /** The metadata key whose value is the tenant; absent: all requests are of one. */
  readonly tenantKey?: string | undefined
  /** By tenant; 1 for those that are not named. */
  readonly weights?: Readonly<Record<string, number>> | undefined
}

export type SplitPart = {
  /** Absent: the row's own. */
  readonly model?: string | undefined
  /** Absent: whichever the server takes. */
  readonly version?: string | undefined
  /** ≥ 0, relative to the other parts. */
  readonly weight: number
}

export type RetryRule = {
  /** Of one request, the first among them. */
  readonly attempts: number
}

/**
 * A request whose answer has not begun after so long is sent to a second endpoint as well: its model must bear to run a request twice. Either a time, or a
 * quantile in 0..1 of the model's times to first byte.
 */
export type HedgeRule = { readonly afterMs?: number | undefined; readonly quantile?: number | undefined }

/** Limits of one attempt; what is absent has none. */
export type Timeouts = {
  /** From its start to its end. */
  readonly perTryMs?: number | undefined
  /** From its start to the first byte of the answer's first message. */
  readonly firstByteMs?: number | undefined
  /** Without a byte in either direction. */
  readonly idleMs?: number | undefined
}

/** Any other gRPC service, by path prefix, goes to the endpoints of a model, bytes untouched. */
export type Route = { readonly prefix: string; readonly model: string }

/**
 * By the zone of a proxy: the other zones in the order in which they help out, each a level of its own or together with others. Zones that are not named
 * come last; a proxy of a zone that is not named takes all others as one level.
 */
export type ZoneOrder = Readonly<Record<string, readonly (readonly string[])[]>>

export type MeshSnapshot = {
  /** Content hash or file stamp; shown, never compared for order. */
  readonly version: string
  readonly models: readonly Model[]
  readonly routes: readonly Route[]
  readonly zones?: ZoneOrder | undefined
  readonly endpoints: readonly Endpoint[]
}

export const EMPTY_SNAPSHOT: MeshSnapshot = { version: '', models: [], routes: [], endpoints: [] }
