/** Which parts `millrace up` starts and how each is called. Pure: addresses in, argument lists out. */
import { z } from 'zod'

export type TritonAddress = { readonly grpc: string; readonly http: string; readonly metrics: string }

export type NodePlan =
  | { readonly kind: 'simulated'; readonly name: string; readonly capture: string }
  | { readonly kind: 'triton'; readonly name: string; readonly address: TritonAddress }

export const SIM_MODEL = 'sim_llm'
export const SIM_SLOTS = 8
const ZONE = 'local'

/** Node by node another GPU, so that their tables differ; then again from the first. */
export const SIM_CAPTURES = ['h100', 'h200', 'l40s'] as const

/** `HOST:GRPC[:HTTP[:METRICS]]`; Triton's own ports are HTTP, gRPC, metrics in a row. */
export const tritonAddress = z.string().transform((text, context): TritonAddress => {
  const match = /^(\[[0-9a-fA-F:]+\]|[^:\s]+):(\d{1,5})(?::(\d{1,5}))?(?::(\d{1,5}))?$/.exec(text)
  const [, host, grpc, http, metrics] = match ?? []
  const ports = [Number(grpc), Number(http ?? Number(grpc) - 1), Number(metrics ?? Number(grpc) + 1)]
  if (match === null || ports.some((port) => port < 1 || port > 65_535)) {
    context.addIssue({ code: 'custom', message: 'wants host:grpc-port[:http-port[:metrics-port]], for example 127.0.0.1:8001' })
    return z.NEVER
  }
  const [grpcPort, httpPort, metricsPort] = ports
  return { grpc: `${host}:${grpcPort}`, http: `${host}:${httpPort}`, metrics: `http://${host}:${metricsPort}/metrics` }
})

/** Simulated nodes are there to see something; where a real server is named they come only when asked for. */
export function planNodes(simulated: number | undefined, tritons: readonly TritonAddress[]): NodePlan[] {
  const count = simulated ?? (tritons.length === 0 ? 3 : 0)
  return [
    ...tritons.map((address, at): NodePlan => ({ kind: 'triton', name: `triton-${at + 1}`, address })),
    ...Array.from({ length: count }, (_, at): NodePlan => {
      const capture = SIM_CAPTURES[at % SIM_CAPTURES.length] ?? SIM_CAPTURES[0]
      return { kind: 'simulated', name: `sim-${at + 1}`, capture }
    }),
  ]
}

export const simServerArgv = (seed: number): string[] => [
  '--models',
  SIM_MODEL,
  '--slots',
  String(SIM_SLOTS),
  '--token-ms',
  '25',
  '--seed',
  String(seed),
  '--log-level',
  'warn',
]

export const controlPlaneArgv = (listen: string, nats: string): string[] => [
  ...['--listen', listen, '--metrics-listen', '127.0.0.1:0', '--nats', nats, '--log-level', 'warn'],
]

export const proxyArgv = (listen: string, controlPlane: string): string[] => [
  ...['--listen', listen, '--metrics-listen', '127.0.0.1:0', '--control-plane', controlPlane],
  ...['--proxy-id', 'proxy-1', '--zone', ZONE, '--name-endpoints', '--log-level', 'warn'],
]

export function agentArgv(
  name: string,
  nats: string,
  server: TritonAddress,
  simulated: { readonly nvidiaSmi: string } | undefined,
): string[] {
  return [
    ...['--node', name, '--zone', ZONE, '--nats', nats, '--metrics-listen', '127.0.0.1:0', '--log-level', 'warn'],
    ...['--server-grpc', server.grpc, '--server-http', server.http, '--server-metrics', server.metrics],
    ...(simulated === undefined
      ? []
      : ['--server-name', 'sim', '--nvidia-smi', simulated.nvidiaSmi, '--capacity', String(SIM_SLOTS), '--simulated']),
  ]
}
