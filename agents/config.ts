/** The settings of an agent. One server can be told by flags, several by `servers` in the --config file; without any it reports the host and its GPUs only. */
import { hostname } from 'node:os'
import { z } from 'zod'
import { natsAccess, natsSettings } from '../core/edge/nats-settings.ts'
import { flag, hostPort, logLevel, readSettings, type Setting, settingsSchema, UsageError } from '../core/edge/settings.ts'
import { isMeshName, isNodeId } from '../core/ids.ts'
import { advertisedSpec, clashOf, type ServerSpec } from './discovery/server-spec.ts'
import { capacity, knownServerFields, metricsUrl, names, serverName, serverRows } from './wire/server-schema.ts'

const nodeId = z.string().refine(isNodeId, 'wants letters, digits, _ and -, at most 63, for example gpu-a')
const name = (fallback: string, schema: z.ZodType<string>, about: string) => ({ value: 'name', about, schema, fallback }) as const

const settings = {
  node: { value: 'name', about: 'this host in the mesh (default: its host name)', schema: nodeId },
  zone: name('default', z.string().regex(/^[A-Za-z0-9._-]{1,63}$/, 'wants letters, digits, ., _ and -'), 'where this host stands'),
  ...natsSettings,
  mesh: name('default', z.string().refine(isMeshName, 'wants small letters, digits and -'), 'several meshes can share one bus'),
  metricsListen: { value: 'host:port', about: "the agent's own metrics and health", schema: hostPort, fallback: '127.0.0.1:7403' },
  nvidiaSmi: { value: 'path', about: 'the program that tells of the GPUs', schema: z.string().min(1), fallback: 'nvidia-smi' },
  kernelLog: {
    value: 'auto|path|off',
    about:
      "where the kernel tells of GPU faults: a file, FIFO or device (default: auto, off with --simulated, as its GPUs are not this host's)",
    schema: z.string().min(1),
  },
  stateDir: { value: 'folder', about: 'keeps which GPU faults are over, for the next start of the agent', schema: z.string().min(1) },
  serverGrpc: { value: 'host:port', about: 'gRPC of the inference server on this host', schema: hostPort },
  serverHttp: { value: 'host:port', about: 'its HTTP, asked for readiness (default: port 8000 there)', schema: hostPort },
  serverMetrics: { value: 'url', about: 'its metrics page (default: port 8002 there, /metrics)', schema: metricsUrl },
  serverName: { value: 'name', about: 'its name on this node (default: triton)', schema: serverName },
  advertise: { value: 'host:port', about: 'the address at which proxies reach it (default: that of --server-grpc)', schema: hostPort },
  models: { value: 'names', about: 'what it serves, with commas between, * for all (default: what it says itself)', schema: names },
  gpus: {
    value: 'names',
    about: 'uuids or numbers of the GPUs that it uses, with commas between (default: all of the host)',
    schema: names,
  },
  capacity: { value: 'requests', about: 'how many requests it takes at once', schema: capacity },
  advertiseHost: {
    value: 'host',
    about: 'the host in the addresses of servers for which no --advertise is told (default: as the agent reaches them)',
    schema: z.string().regex(/^(\[[0-9a-fA-F:]+\]|[^:\s]+)$/, 'wants a host without a port, for example 10.0.0.21'),
  },
  serversFrom: {
    value: 'path',
    about: 'a file, or a folder of them, that tells of more servers and is read again when it changes',
    schema: z.string().min(1),
  },
  discover: { about: 'look for servers on their usual ports of this host', schema: flag, fallback: false },
  servers: { about: 'several servers', schema: serverRows, onlyInFile: knownServerFields },
  check: { about: 'look once at everything, print what is seen and what is not, and end with 0 or 1', schema: flag, fallback: false },
  json: { about: 'with --check: as JSON', schema: flag, fallback: false },
  printConfig: { about: 'print the settings as they are, as YAML, and end', schema: flag, fallback: false },
  printConfigSchema: { about: 'print the JSON schema of the --config file, and end', schema: flag, fallback: false },
  simulated: { about: 'say wherever this node is shown that it is not real', schema: flag, fallback: false },
  logLevel: { value: 'level', about: 'trace, debug, info, warn, error or silent', schema: logLevel, fallback: 'info' },
} as const satisfies Record<string, Setting<unknown>>

export type AgentConfig = ReturnType<typeof readConfig>

export function readConfig(argv: readonly string[]) {
  const read = readSettings(
    {
      name: 'agent',
      about: 'Reports the GPUs of this host, and the inference servers on it, to the mesh.',
      example: 'millrace agent --node gpu-a --nats 10.0.0.5:4222 --server-grpc 127.0.0.1:8001 --advertise 10.0.0.21:8001',
      settings,
    },
    argv,
  )
  const node = read.node ?? hostname().split('.')[0] ?? ''
  if (!isNodeId(node)) throw new UsageError(`--node is needed: the host name "${hostname()}" has letters that a node id may not have`)
  const kernelLog = read.kernelLog ?? (read.simulated ? 'off' : 'auto')
  return { ...read, node, bus: natsAccess(read), kernelLog, servers: readServers(read) }
}

/** Of the --config file. */
export const configSchema = (): object => settingsSchema({ name: 'agent', settings })

/** Each of these says something about the one server of the flags, and nothing without it. */
const ABOUT_THE_SERVER = {
  serverHttp: '--server-http',
  serverMetrics: '--server-metrics',
  serverName: '--server-name',
  advertise: '--advertise',
  models: '--models',
  gpus: '--gpus',
  capacity: '--capacity',
} as const

type Read = ReturnType<typeof readSettings<typeof settings>>

function readServers(read: Read): readonly ServerSpec[] {
  const specs = [...serverOfFlags(read), ...(read.servers ?? []).map((row) => advertisedSpec(row, read.advertiseHost))]
  const clash = clashOf(specs)
  if (clash !== undefined) throw new UsageError(`servers: ${clash.field}: ${clash.problem}`)
  return specs
}

function serverOfFlags(read: Read): ServerSpec[] {
  const { serverGrpc: grpc, serverName, serverHttp: http, serverMetrics: metrics, advertise, models, gpus, capacity } = read
  if (grpc !== undefined)
    return [advertisedSpec({ name: serverName, grpc, http, metrics, advertise, models, gpus, capacity }, read.advertiseHost)]
  const lonely = Object.entries(ABOUT_THE_SERVER).find(([name]) => read[name as keyof typeof ABOUT_THE_SERVER] !== undefined)
  if (lonely !== undefined) throw new UsageError(`${lonely[1]} is about an inference server: say which by --server-grpc host:port`)
  return []
}
