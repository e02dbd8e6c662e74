/** The settings of an agent. Without --server-grpc it reports the host and its GPUs only. */
import { hostname } from 'node:os'
import { z } from 'zod'
import { flag, hostPort, logLevel, readSettings, type Setting, UsageError, wholeNumber } from '../core/edge/settings.ts'
import { isMeshName, isNodeId } from '../core/ids.ts'

/** Triton's own default ports beside its gRPC port. */
const TRITON_HTTP_PORT = 8000
const TRITON_METRICS_PORT = 8002

const list = z
  .union([z.string().transform((text) => text.split(',')), z.array(z.string())])
  .transform((parts) => parts.map((part) => part.trim()).filter((part) => part !== ''))
  .refine((parts) => parts.length > 0, 'wants names with commas between')

const nodeId = z.string().refine(isNodeId, 'wants letters, digits, _ and -, at most 63, for example gpu-a')
const name = (fallback: string, schema: z.ZodType<string>, about: string) => ({ value: 'name', about, schema, fallback }) as const

const settings = {
  node: { value: 'name', about: 'this host in the mesh (default: its host name)', schema: nodeId },
  zone: name('default', z.string().regex(/^[A-Za-z0-9._-]{1,63}$/, 'wants letters, digits, ., _ and -'), 'where this host stands'),
  nats: { value: 'host:port', about: 'the bus', schema: hostPort, fallback: '127.0.0.1:4222' },
  mesh: name('default', z.string().refine(isMeshName, 'wants small letters, digits and -'), 'several meshes can share one bus'),
  metricsListen: { value: 'host:port', about: "the agent's own metrics and health", schema: hostPort, fallback: '127.0.0.1:7403' },
  nvidiaSmi: { value: 'path', about: 'the program that tells of the GPUs', schema: z.string().min(1), fallback: 'nvidia-smi' },
  serverGrpc: { value: 'host:port', about: 'gRPC of the inference server on this host', schema: hostPort },
  serverHttp: { value: 'host:port', about: `its HTTP, asked for readiness (default: port ${TRITON_HTTP_PORT} there)`, schema: hostPort },
  serverMetrics: {
    value: 'url',
    about: `its metrics page (default: port ${TRITON_METRICS_PORT} there, /metrics)`,
    schema: z.string().regex(/^http:\/\/[^/\s]+\//, 'wants a URL, for example http://127.0.0.1:8002/metrics'),
  },
  serverName: name('triton', nodeId, 'its name on this node'),
  advertise: { value: 'host:port', about: 'the address at which proxies reach it (default: that of --server-grpc)', schema: hostPort },
  models: { value: 'names', about: 'what it serves, with commas between, * for all (default: what it says itself)', schema: list },
  gpus: { value: 'uuids', about: 'the GPUs that it uses, with commas between (default: all of the host)', schema: list },
  capacity: { value: 'requests', about: 'how many requests it takes at once', schema: wholeNumber(1, 1_000_000) },
  simulated: { about: 'say wherever this node is shown that it is not real', schema: flag, fallback: false },
  logLevel: { value: 'level', about: 'trace, debug, info, warn, error or silent', schema: logLevel, fallback: 'info' },
} as const satisfies Record<string, Setting<unknown>>

export type ServerConfig = {
  readonly name: string
  readonly grpc: string
  readonly http: string
  readonly metricsUrl: string
  readonly advertise: string
  readonly models: readonly string[] | undefined
  readonly gpus: readonly string[] | undefined
  readonly capacity: number | undefined
}

export function readConfig(argv: readonly string[]) {
  const read = readSettings(
    {
      name: 'agent',
      about: 'Reports the GPUs of this host, and the inference server on it, to the mesh.',
      example: 'millrace agent --node gpu-a --nats 10.0.0.5:4222 --server-grpc 127.0.0.1:8001 --advertise 10.0.0.21:8001',
      settings,
    },
    argv,
  )
  const node = read.node ?? hostname().split('.')[0] ?? ''
  if (!isNodeId(node)) throw new UsageError(`--node is needed: the host name "${hostname()}" has letters that a node id may not have`)
  return { ...read, node, server: readServer(read) }
}

/** Each of these says something about the server, and nothing without one. */
const ABOUT_THE_SERVER = {
  serverHttp: '--server-http',
  serverMetrics: '--server-metrics',
  advertise: '--advertise',
  models: '--models',
  gpus: '--gpus',
  capacity: '--capacity',
} as const

type Read = ReturnType<typeof readSettings<typeof settings>>

function readServer(read: Read): ServerConfig | undefined {
  const { serverGrpc: grpc, serverName, models, gpus, capacity } = read
  if (grpc === undefined) {
    const lonely = Object.entries(ABOUT_THE_SERVER).find(([name]) => read[name as keyof typeof ABOUT_THE_SERVER] !== undefined)
    if (lonely !== undefined) throw new UsageError(`${lonely[1]} is about an inference server: say which by --server-grpc host:port`)
    return undefined
  }
  const host = grpc.slice(0, grpc.lastIndexOf(':'))
  return {
    name: serverName,
    grpc,
    http: read.serverHttp ?? `${host}:${TRITON_HTTP_PORT}`,
    metricsUrl: read.serverMetrics ?? `http://${host}:${TRITON_METRICS_PORT}/metrics`,
    advertise: read.advertise ?? grpc,
    models,
    gpus,
    capacity,
  }
}
