import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createLog } from '../../core/edge/log.ts'
import { systemClock } from '../../core/edge/system-clock.ts'
import { kib, type Millis, millis } from '../../core/units.ts'
import { EndpointHealth, GpuBinding } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { specOf } from '../discovery/server-spec.ts'
import { startBeat } from './beat.ts'
import { httpAsk } from './http-ask.ts'
import type { ModelLister } from './list-models.ts'
import { type ServerWatch, watchServer } from './watch-server.ts'

const soon = { timeout: 20_000, interval: 20 }
const { ENDPOINT_HEALTH_FAILED, ENDPOINT_HEALTH_READY, ENDPOINT_HEALTH_STARTING } = EndpointHealth

type FakeServer = { readonly at: string; status: number; metrics: string; readonly server: Server; stop(): Promise<void> }

/** Health and metrics of an inference server that does as it is told. */
async function startServer(port = 0): Promise<FakeServer> {
  const server = createServer((request, response) => {
    if (request.url === '/v2/health/ready') response.writeHead(fake.status).end()
    else if (request.url === '/metrics') response.end(fake.metrics)
    else if (request.url === '/endless') response.end('x'.repeat(100_000))
    else if (request.url === '/cut') response.writeHead(200, { 'content-length': '10' }).write('half', () => response.destroy())
    // Any other question is never answered.
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  const fake: FakeServer = { at: `127.0.0.1:${(server.address() as AddressInfo).port}`, status: 200, metrics: '', server, stop }
  onTestFinished(stop)
  return fake
}

function watch(server: FakeServer, models: readonly string[] | ModelLister, onChange: () => void = () => {}): ServerWatch {
  const told = 'list' in models ? { lister: models } : { models, lister: undefined }
  const beat = startBeat()
  onTestFinished(() => beat.stop())
  const watched = watchServer({
    id: 'gpu-a/triton',
    spec: specOf({
      grpc: '10.0.0.1:8001',
      http: server.at,
      metrics: `http://${server.at}/metrics`,
      capacity: 8,
      models: 'models' in told ? told.models : undefined,
    }),
    gpus: () => ({ gpuUuids: ['GPU-1'], gpuBinding: GpuBinding.GPU_BINDING_ALL }),
    lister: told.lister,
    deep: undefined,
    clock: systemClock,
    beat,
    log: createLog('test', 'silent'),
    onChange,
  })
  onTestFinished(() => watched.close())
  return watched
}

test('a server is starting, ready, and failed with the reason as soon as its port refuses', async () => {
  const server = await startServer()
  server.status = 400
  const changes = vi.fn()
  const watched = watch(server, ['llm'], changes)
  await vi.waitFor(() => expect(watched.report().healthReason).toBe('not ready (HTTP 400)'), soon)
  expect(watched.report().health).toBe(ENDPOINT_HEALTH_STARTING)
  server.status = 200
  await vi.waitFor(() => expect(watched.report().health).toBe(ENDPOINT_HEALTH_READY), soon)
  expect(watched.report()).toMatchObject({
    id: 'gpu-a/triton',
    address: '10.0.0.1:8001',
    models: ['llm'],
    gpuUuids: ['GPU-1'],
    capacity: 8,
  })
  expect(watched.report().probeLatencyMs).toBeGreaterThan(0)
  await server.stop()
  await vi.waitFor(() => expect(watched.report()).toMatchObject({ health: ENDPOINT_HEALTH_FAILED, healthReason: 'refused' }), soon)
  expect(changes).toHaveBeenCalledTimes(2)
})

test('the queue is read from the metrics page, and is unknown again when the page is gone', async () => {
  const server = await startServer()
  server.metrics = 'nv_inference_pending_request_count{model="llm",version="1"} 7\n'
  const watched = watch(server, ['llm'])
  await vi.waitFor(() => expect(watched.report().load?.queueDepth).toBe(7), soon)
  await server.stop()
  await vi.waitFor(() => expect(watched.report().load?.queueDepth).toBeUndefined(), soon)
})

test('a server is not ready before it was asked for its models', async () => {
  const server = await startServer()
  let answer: (models: readonly string[]) => void = () => {}
  const watched = watch(server, { list: () => new Promise((resolve) => (answer = resolve)) })
  await vi.waitFor(() => expect(answer.length).toBe(1), soon)
  expect(watched.report()).toMatchObject({ health: ENDPOINT_HEALTH_STARTING, models: ['*'] })
  answer(['echo', 'llm'])
  await vi.waitFor(() => expect(watched.report()).toMatchObject({ health: ENDPOINT_HEALTH_READY, models: ['echo', 'llm'] }), soon)
})

test('a server whose port for requests is closed is not ready, whatever its health page says', async () => {
  let list: () => Promise<readonly string[] | 'refused'> = async () => ['llm']
  const watched = watch(await startServer(), { list: () => list() })
  await vi.waitFor(() => expect(watched.report().health).toBe(ENDPOINT_HEALTH_READY), soon)
  list = async () => 'refused'
  await vi.waitFor(() => expect(watched.report()).toMatchObject({ health: ENDPOINT_HEALTH_FAILED, healthReason: 'refused' }), soon)
  list = async () => ['llm']
  await vi.waitFor(() => expect(watched.report()).toMatchObject({ health: ENDPOINT_HEALTH_READY, models: ['llm'] }), soon)
})

test('a server that does not say what it serves is taken to serve all', async () => {
  const watched = watch(await startServer(), { list: async () => undefined })
  await vi.waitFor(() => expect(watched.report()).toMatchObject({ health: ENDPOINT_HEALTH_READY, models: ['*'] }), soon)
})

/** What comes at all comes within this time, also on a busy machine. */
const PATIENCE = millis(10_000)

test.each<[string, string, Millis, object]>([
  ['an answer', '/v2/health/ready', PATIENCE, { kind: 'answer', status: 200 }],
  ['silence', '/silent', millis(300), { kind: 'timeout' }],
  ['a page without end', '/endless', PATIENCE, { kind: 'too-large' }],
  ['a page that is cut off', '/cut', PATIENCE, { kind: 'broken' }],
])('%s has a name of its own', async (_, path, patience, expected) => {
  const server = await startServer()
  expect(await httpAsk(`http://${server.at}${path}`, patience, kib(16))).toMatchObject(expected)
})

test('a refused connection has a name of its own', async () => {
  expect(await httpAsk('http://127.0.0.1:1/', PATIENCE, kib(16))).toEqual({ kind: 'refused' })
})
