/** What is measured: the calls, the backends behind the proxy, and the one number by which peers are compared in each scenario. */
import type { Metric } from './statistics.ts'

export type Kind = 'load' | 'cancel' | 'idle' | 'failover'

export type Scenario = {
  readonly name: string
  readonly about: string
  readonly kind: Kind
  /** What peers are compared by; less is better. */
  readonly compare: Metric
  /** Shown beside it. */
  readonly also: readonly Metric[]
  /** Backend processes, and the addresses that each serves. */
  readonly processes: number
  readonly ports: number
  /** Callers come over TLS. */
  readonly tls?: boolean
  /** Only these take part. */
  readonly peers?: readonly string[]
  /** Measured in so many rounds at most: what is counted and not timed, or stands beside a scenario like it, needs no median. */
  readonly roundsMax?: number
  readonly backend: (seconds: number) => readonly string[]
  /** The generator's mode and flags; address and time are added. `workers` of the proxy share the load, where a scenario is about that. */
  readonly load: (seconds: number, workers: number) => readonly string[]
  /** What runs beside it without being measured. */
  readonly beside?: readonly string[]
}

/** Every 100 ms. */
const GAPS_PER_SECOND = 10

const base = { kind: 'load', processes: 1, ports: 1, backend: () => [] } as const
const perRequest = { compare: 'cpuPerRequestMicros', also: ['requestsPerSecond', 'p50Micros', 'p99Micros'] } as const
/** Without the latency of a whole stream, which a pace dictates. */
const perMessage = { compare: 'cpuPerMessageMicros', also: ['messagesPerSecond'] } as const
const paced = ['-tokens', '256', '-gap', '10ms']

export const SCENARIOS: readonly Scenario[] = [
  {
    ...base,
    ...perRequest,
    name: 'unary',
    roundsMax: 1,
    about: 'echo of 1 KiB, 32 in flight on 4 connections, closed loop',
    load: () => ['unary', '-conc', '32', '-size', '1024'],
  },
  {
    ...base,
    ...perRequest,
    name: 'real',
    about: 'the same with what callers send: a deadline, a bearer token, a fresh traceparent and request id on every call',
    load: () => ['unary', '-conc', '32', '-size', '1024', '-caller'],
  },
  {
    ...base,
    ...perRequest,
    name: 'tls',
    about: 'unary, the callers over TLS 1.3 with an ECDSA certificate, the backend in clear text',
    tls: true,
    load: () => ['unary', '-conc', '32', '-size', '1024'],
  },
  {
    ...base,
    ...perRequest,
    name: 'workers',
    about:
      'real, one worker under 32 calls on 8 connections beside two under twice as many: what a request costs more when workers share the work',
    peers: ['millrace', 'millrace-2', 'envoy', 'envoy-2'],
    load: (_, workers) => ['unary', '-conc', String(32 * workers), '-conns', String(8 * workers), '-size', '1024', '-caller'],
  },
  {
    ...base,
    ...perRequest,
    name: 'large',
    roundsMax: 2,
    about: 'echo of 256 KiB, 8 in flight on 4 connections, closed loop',
    load: () => ['unary', '-conc', '8', '-size', '262144'],
  },
  {
    ...base,
    ...perMessage,
    name: 'burst',
    about: '32 streams on 4 connections, each 256 messages of 64 B without a pause, closed loop',
    load: () => ['stream', '-conc', '32', '-size', '64'],
  },
  {
    ...base,
    name: 'open',
    roundsMax: 2,
    about: 'echo of 1 KiB at 500/s on 4 connections, open loop: latency from when a call was due',
    compare: 'p99Micros',
    also: ['p50Micros', 'p999Micros', 'cpuPerRequestMicros'],
    load: () => ['unary', '-rate', '500', '-size', '1024'],
  },
  {
    ...base,
    name: 'busy',
    about: 'open while 600 paced streams run: what a short call waits behind many others',
    compare: 'p999Micros',
    also: ['p50Micros', 'p99Micros'],
    peers: ['direct', 'millrace', 'envoy', 'haproxy'],
    roundsMax: 2,
    backend: () => paced,
    load: () => ['unary', '-rate', '500', '-size', '1024'],
    beside: ['stream', '-conc', '600', '-size', '64'],
  },
  {
    ...base,
    ...perMessage,
    name: 'paced',
    about: 'fan-in: 600 streams on 4 connections to 1 backend, each a message of 64 B every 10 ms, 256 of them',
    backend: () => paced,
    load: () => ['stream', '-conc', '600', '-size', '64'],
  },
  {
    ...base,
    ...perMessage,
    name: 'spread',
    about: '128 such streams on 64 connections to 32 backends: little can be gathered into one write',
    ports: 32,
    backend: () => paced,
    load: () => ['stream', '-conc', '128', '-conns', '64', '-size', '64'],
  },
  {
    ...base,
    name: 'gaps',
    roundsMax: 2,
    about: '1,000 streams on 4 connections, each a message every 100 ms: by how much the time between two messages strays from that',
    compare: 'p99Micros',
    also: ['p50Micros', 'p999Micros', 'maxMicros', 'lost', 'cpuPerMessageMicros'],
    backend: (seconds) => ['-tokens', String(Math.ceil(seconds * GAPS_PER_SECOND)), '-gap', '100ms'],
    load: (seconds) => ['gaps', '-conc', '1000', '-size', '64', '-gap', '100ms', '-tokens', String(Math.ceil(seconds * GAPS_PER_SECOND))],
  },
  {
    ...base,
    name: 'cancel',
    roundsMax: 1,
    about: 'callers cancel 200 streams/s, each after its first message, on 32 connections: time until the backend’s handler is told',
    kind: 'cancel',
    compare: 'p99Micros',
    also: ['p50Micros', 'maxMicros', 'lost'],
    backend: () => paced,
    // Slow enough on each connection that no proxy takes it for a flood of resets.
    load: () => ['cancel', '-rate', '200', '-conns', '32', '-size', '64'],
  },
  {
    ...base,
    name: 'failover',
    roundsMax: 1,
    about: '200 calls/s of 1 KiB on 4 connections over three backends, open loop; one backend is killed (SIGKILL) half way',
    kind: 'failover',
    compare: 'errors',
    also: ['requests', 'retries', 'deadUntilMillis', 'maxMicros', 'p99Micros'],
    processes: 3,
    load: () => ['failover', '-rate', '200', '-size', '1024'],
  },
  {
    ...base,
    name: 'idle',
    roundsMax: 1,
    about: '10,000 open streams on 100 connections that carry nothing: growth of the resident set from 100 streams to 10,000',
    kind: 'idle',
    compare: 'rssPerStreamKib',
    also: ['rssMib'],
    backend: () => ['-hold'],
    load: () => ['idle', '-conc', '10000', '-conns', '100', '-size', '64'],
  },
]
