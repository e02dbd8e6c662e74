/**
 * What the agent has to know of an inference server beside it, and how little must be said of it: each address that is left out is the usual port of
 * the server's kind, on the host of an address that was given. Invariant: two servers of a host share neither a name nor an address, since one would be
 * judged by what the other answers.
 */
import { Protocol } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { type Door, KINDS, type Page, SERVER_KINDS, type ServerKind } from '../backend/kinds.ts'
import { type ProbeWish, USUAL_PROBE } from '../probe/probe-wish.ts'

/** As an operator tells it. */
export type ServerRow = {
  readonly name?: string | undefined
  readonly kind?: ServerKind | undefined
  readonly grpc?: string | undefined
  readonly http?: string | undefined
  /** The URL of its metrics page. */
  readonly metrics?: string | undefined
  readonly management?: string | undefined
  readonly advertise?: string | undefined
  readonly models?: readonly string[] | undefined
  /** Uuids, or the numbers that nvidia-smi gives them. */
  readonly gpus?: readonly string[] | undefined
  readonly capacity?: number | undefined
  readonly probe?: ProbeWish | undefined
}

export type ServerSpec = {
  readonly name: string
  readonly kind: ServerKind
  /** Absent where only HTTP reaches it. */
  readonly grpc: string | undefined
  readonly http: string
  /** Absent where its port is another at every start, and nobody told it. */
  readonly metricsUrl: string | undefined
  readonly management: string | undefined
  /** The address at which proxies reach it. */
  readonly advertise: string
  readonly models: readonly string[] | undefined
  readonly gpus: readonly string[] | undefined
  readonly capacity: number | undefined
  readonly probe: ProbeWish
}

const LOOPBACK = '127.0.0.1'

export function specOf(row: ServerRow): ServerSpec {
  const kind = row.kind ?? SERVER_KINDS[0]
  const { ports, metrics, grpc: spoken } = KINDS[kind]
  const host = hostOf(row.grpc ?? row.http) ?? LOOPBACK
  // Only a server that is all about KServe is sure to have its gRPC port open.
  const grpc = row.grpc ?? (spoken === Protocol.PROTOCOL_KSERVE_GRPC && ports.grpc !== undefined ? `${host}:${ports.grpc}` : undefined)
  const http = row.http ?? `${host}:${ports.http}`
  const management = row.management ?? (ports.management === undefined ? undefined : `${host}:${ports.management}`)
  const metricsAt = metrics.door === 'http' ? http : ports.metrics === undefined ? undefined : `${host}:${ports.metrics}`
  return {
    name: row.name ?? kind,
    kind,
    grpc,
    http,
    metricsUrl: row.metrics ?? (metricsAt === undefined ? undefined : `http://${metricsAt}${metrics.path}`),
    management,
    advertise: row.advertise ?? grpc ?? http,
    models: row.models,
    gpus: row.gpus,
    capacity: row.capacity,
    probe: row.probe ?? USUAL_PROBE,
  }
}

/** `host` stands in what proxies connect to, unless the row tells that itself: an agent often reaches its servers where nobody else does. */
export function advertisedSpec(row: ServerRow, host: string | undefined): ServerSpec {
  const spec = specOf(row)
  if (host === undefined || row.advertise !== undefined) return spec
  return { ...spec, advertise: `${host}${spec.advertise.slice(spec.advertise.lastIndexOf(':'))}` }
}

/** Undefined when the server has no such door, as far as is known. */
export function urlOf(spec: ServerSpec, page: Page, model = ''): string | undefined {
  const path = page.path.replace('{model}', encodeURIComponent(model))
  const origin = originOf(spec, page.door)
  return origin === undefined ? undefined : `${origin}${path}`
}

function originOf({ http, metricsUrl, management }: ServerSpec, door: Door): string | undefined {
  switch (door) {
    case 'http':
      return `http://${http}`
    case 'metrics':
      return metricsUrl && new URL(metricsUrl).origin
    case 'management':
      return management && `http://${management}`
    default:
      return door satisfies never
  }
}

export type Clash = { readonly at: number; readonly field: keyof typeof OWN_TO_EACH; readonly problem: string }

const OWN_TO_EACH = {
  name: 'name',
  grpc: 'grpc',
  http: 'http',
  metrics: 'metricsUrl',
  management: 'management',
  advertise: 'advertise',
} as const

/** The first of two servers that share what they must not. */
export function clashOf(specs: readonly ServerSpec[]): Clash | undefined {
  const fields = Object.keys(OWN_TO_EACH) as (keyof typeof OWN_TO_EACH)[]
  for (const [at, spec] of specs.entries())
    for (const field of fields) {
      const value = spec[OWN_TO_EACH[field]]
      const other = specs.slice(0, at).find((one) => value !== undefined && one[OWN_TO_EACH[field]] === value)
      if (other === undefined) continue
      const problem =
        field === 'name' ? `two servers are named ${value}` : `${spec.name} and ${other.name} would both be at ${value}; say which is where`
      return { at, field, problem }
    }
  return undefined
}

const hostOf = (address: string | undefined): string | undefined => address?.slice(0, address.lastIndexOf(':'))
