/**
 * gRPC's own interop cases, played by grpc-go's client against grpc-go's server through prefix routes. What passes without a proxy passes through it:
 * each case is played both ways, so that a case which this machine cannot play is told from one that the proxy breaks.
 */
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Child, lastLines, startChild } from '../../cli/child.ts'
import { goTool } from '../tools/go-tool.ts'
import { startRoutedProxy, type TestProxy } from '../tools/proxy.ts'

const GRPC = 'google.golang.org/grpc'
const VERSION = 'v1.85.0'
const CASE_MAX_MS = 60_000

const CASES = [
  'empty_unary',
  'large_unary',
  'client_streaming',
  'server_streaming',
  'ping_pong',
  'empty_stream',
  'timeout_on_sleeping_server',
  'cancel_after_begin',
  'cancel_after_first_response',
  'status_code_and_message',
  'special_status_message',
  'custom_metadata',
  'unimplemented_method',
  'unimplemented_service',
  'rpc_soak',
  'channel_soak',
  'orca_per_rpc',
  'orca_oob',
] as const

/** Asks each answer who gave it, which grpc-go's server does not say: it has a server of its own here. */
const ASKS_WHO = 'pick_first_unary'

/** The rest of what the client has: each asks Google's metadata server or token service, which answer inside Google Cloud only. */
const NEEDS_GOOGLE_CLOUD = [
  'compute_engine_creds',
  'service_account_creds',
  'jwt_token_creds',
  'per_rpc_creds',
  'oauth2_auth_token',
  'google_default_credentials',
  'compute_engine_channel_credentials',
]

const LISTED_BY_HELP = /^\s+(\w+)\s*: /

/** The policy by which the ORCA cases read what servers report; the others do not mind it. */
const SERVICE_CONFIG = '{"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}'
/** Many small calls rather than few: what a soak looks for is state that one call leaves to the next. */
const SOAK = ['-soak_iterations', '50', '-soak_per_iteration_max_acceptable_latency_ms', '20000', '-soak_overall_timeout_seconds', '50']

let client = ''
let server: Child
let direct = 0
let proxy: TestProxy

beforeAll(async () => {
  client = await goTool('client', `${GRPC}/interop/client@${VERSION}`)
  const program = await goTool('server', `${GRPC}/interop/server@${VERSION}`)
  server = await startChild('interop server', program, ['-port', '0'], { env: { GRPC_GO_LOG_SEVERITY_LEVEL: 'info' } })
  const line = await server.waitForLine(/interop server listening on .*:\d+$/, CASE_MAX_MS)
  direct = portOf(line)
  proxy = await startRoutedProxy(`127.0.0.1:${direct}`, ['/grpc.testing.', '/xds.service.orca.v3.'])
}, 900_000)
afterAll(async () => {
  await proxy?.stop()
  await server?.stop()
})

const portOf = (text: string): number => Number(text.slice(text.lastIndexOf(':') + 1))

async function play(name: string, port: number): Promise<string> {
  const argv = [
    '-server_host',
    '127.0.0.1',
    '-server_port',
    String(port),
    '-test_case',
    name,
    '-service_config_json',
    SERVICE_CONFIG,
    ...SOAK,
  ]
  const child = await startChild(name, client, argv)
  const impatience = setTimeout(() => child.kill(), CASE_MAX_MS)
  const code = await child.exited
  clearTimeout(impatience)
  return code === 0 ? 'passed' : `ended with ${code ?? 'a signal'}:\n${lastLines([...child.stdout, ...child.stderr])}`
}

test('every case of the client is here, or needs Google Cloud', async () => {
  const help = await startChild('help', client, ['-help'])
  await help.exited
  const listed = help.stderr.map((line) => LISTED_BY_HELP.exec(line)?.[1]).filter((name) => name !== undefined)
  expect(listed.length).toBeGreaterThan(15)
  expect(listed.filter((name) => ![...CASES, ASKS_WHO, ...NEEDS_GOOGLE_CLOUD].includes(name))).toEqual([])
})

describe('through the proxy as without it', () => {
  test.each(CASES)('%s', { timeout: 3 * CASE_MAX_MS }, async (name) => {
    expect(await playFairly(name, direct), 'client to server, nothing between').toBe('passed')
    expect(await playFairly(name, portOf(proxy.listen)), 'through the proxy').toBe('passed')
  })
})

/** This case races with itself: on a busy machine its server may answer OK before the client's cancel is out, with nothing between them too. */
const RACES_WITH_ITSELF = 'cancel_after_begin'

async function playFairly(name: string, port: Parameters<typeof play>[1]): Promise<string> {
  const first = await play(name, port)
  return first === 'passed' || name !== RACES_WITH_ITSELF ? first : play(name, port)
}

test(ASKS_WHO, { timeout: 3 * CASE_MAX_MS }, async () => {
  const named = await startNamedServer('one')
  const before = await startRoutedProxy(`127.0.0.1:${named.port}`, ['/grpc.testing.'])
  try {
    expect(await play(ASKS_WHO, named.port), 'client to server, nothing between').toBe('passed')
    expect(await play(ASKS_WHO, portOf(before.listen)), 'through the proxy').toBe('passed')
  } finally {
    await before.stop()
    named.stop()
  }
})

test('nothing is left behind', async () => {
  await expect.poll(() => proxy.metric('millrace_requests_open')).toBe(0)
  await expect.poll(() => proxy.metric('millrace_relay_buffered_bytes')).toBe(0)
  expect(await proxy.metric('millrace_http2_guards_total'), 'honest peers meet no guard').toBe(0)
})

/** Answers UnaryCall with a SimpleResponse that holds nothing but `server_id`, its field 4. */
async function startNamedServer(name: string): Promise<{ readonly port: number; stop(): void }> {
  const asIs = (bytes: Buffer): Buffer => bytes
  const path = '/grpc.testing.TestService/UnaryCall'
  const types = { requestStream: false, responseStream: false, requestSerialize: asIs, requestDeserialize: asIs }
  const server = new Server()
  server.addService(
    { unary: { path, ...types, responseSerialize: asIs, responseDeserialize: asIs } },
    {
      unary: (_call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) =>
        answer(null, Buffer.concat([Buffer.of(0x22, name.length), Buffer.from(name)])),
    },
  )
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  )
  return { port, stop: () => server.forceShutdown() }
}
