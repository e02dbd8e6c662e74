/**
 * Serves gRPC for a plane: its services, health and reflection on one listener, and an end in order. Until credentials can be configured it
 * listens on loopback only.
 */
import { type ChannelOptions, Server, ServerCredentials, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js'
import { HealthImplementation } from 'grpc-health-check'
import { limits } from '../limits.ts'
import { explainListenError, splitHostPort } from './listen.ts'
import { addReflection } from './reflection.ts'
import { UsageError } from './settings.ts'

export type GrpcService = {
  /** As in `millrace.admin.v1.AdminService`. */
  readonly name: string
  readonly definition: ServiceDefinition
  readonly handlers: UntypedServiceImplementation
}

export type GrpcServer = {
  readonly address: string
  /** Says NOT_SERVING, lets calls end, then cuts off who does not. Streams that the services hold open are theirs to end first. */
  close(): Promise<void>
}

const CLOSE_PATIENCE_MS = 2_000
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/

const OPTIONS: ChannelOptions = {
  'grpc.max_receive_message_length': limits.helloBytesMax,
  'grpc.keepalive_time_ms': 10_000,
  // Whoever is late on a busy machine is not gone: to cut it means to greet it again.
  'grpc.keepalive_timeout_ms': 20_000,
}

export function requireLoopback(listen: string, what: string): void {
  const { host } = splitHostPort(listen)
  if (!LOOPBACK.test(host))
    throw new UsageError(
      `${what}: ${host} is not a loopback address; there are no credentials yet, so it listens on 127.0.0.1 or [::1] only (reach it by a tunnel)`,
    )
}

export async function serveGrpc(listen: string, what: string, services: readonly GrpcService[]): Promise<GrpcServer> {
  requireLoopback(listen, what)
  const server = new Server(OPTIONS)
  for (const { definition, handlers } of services) server.addService(definition, handlers)
  const names = services.map(({ name }) => name)
  const health = new HealthImplementation(Object.fromEntries(['', ...names].map((name) => [name, 'SERVING' as const])))
  health.addToServer(server)
  addReflection(server, [...names, 'grpc.health.v1.Health'])
  const port = await bind(server, listen, what)
  return {
    address: `${listen.slice(0, listen.lastIndexOf(':'))}:${port}`,
    async close() {
      for (const name of ['', ...names]) health.setStatus(name, 'NOT_SERVING')
      const impatience = setTimeout(() => server.forceShutdown(), CLOSE_PATIENCE_MS)
      await new Promise<void>((resolve) => server.tryShutdown(() => resolve()))
      clearTimeout(impatience)
    },
  }
}

/** grpc-js puts the errno into its message only. */
const bind = (server: Server, listen: string, what: string): Promise<number> =>
  new Promise((resolve, reject) => {
    server.bindAsync(listen, ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) return resolve(port)
      const code = /\b(EADDRINUSE|EACCES|EADDRNOTAVAIL)\b/.exec(error.message)?.[1]
      reject(explainListenError(Object.assign(error, { code }), listen, what))
    })
  })
