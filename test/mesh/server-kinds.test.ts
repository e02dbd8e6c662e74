/** Servers that speak no KServe, in a whole mesh: their load is known with its sources, and a request for their models is refused in words. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { ModelInferRequest } from '../../proto/gen/inference/grpc_service.ts'
import { Fleet } from '../tools/fleet.ts'
import { connectGrpc, type StreamEnd } from '../tools/grpc-session.ts'
import { type Part, spawnPart } from '../tools/spawn-part.ts'

const soon = { timeout: 30_000, interval: 100 }
const pageOf = (name: string): string => readFileSync(new URL(`../../agents/backend/pages/${name}.txt`, import.meta.url), 'utf8')

const TORCHSERVE_MODEL = [{ batchSize: 4, workers: [{ status: 'READY' }, { status: 'READY' }], jobQueueStatus: { pendingRequests: 7 } }]
/** What a vLLM and a TorchServe answer, by path; the second's three ports are one here. */
const ANSWERS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  vllm: {
    '/health': '',
    '/metrics': pageOf('vllm-v1-engines'),
    '/v1/models': '{"object":"list","data":[{"id":"llama","object":"model"}]}',
    '/v1/completions': '{"object":"text_completion","choices":[{"index":0,"text":"a","finish_reason":"length"}]}',
  },
  torchserve: {
    '/ping': '{"status":"Healthy"}',
    '/metrics': pageOf('torchserve-docs'),
    '/models?limit=1000': '{"models":[{"modelName":"resnet18"}]}',
    '/models/resnet18': JSON.stringify(TORCHSERVE_MODEL),
  },
}

let fleet: Fleet
let agent: Part
const folder = mkdtempSync(join(tmpdir(), 'millrace-kinds-'))
const closers: (() => void)[] = []

async function startServer(answers: Readonly<Record<string, string>>): Promise<string> {
  const server = createServer(({ url = '' }, response) => {
    const answer = answers[url]
    response.writeHead(answer === undefined ? 404 : 200).end(answer)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

beforeAll(async () => {
  fleet = await Fleet.start({ nodes: 1 })
  const [chat, images] = await Promise.all([startServer(ANSWERS.vllm ?? {}), startServer(ANSWERS.torchserve ?? {})])
  const config = join(folder, 'agent.json')
  const servers = [
    { name: 'chat', kind: 'vllm', http: chat },
    {
      name: 'images',
      kind: 'torchserve',
      http: images,
      management: images,
      metrics: `http://${images}/metrics`,
      grpc: '127.0.0.1:1',
      advertise: '127.0.0.1:1',
    },
  ]
  writeFileSync(
    config,
    JSON.stringify({ node: 'gpu-b', nats: fleet.bus, 'metrics-listen': '127.0.0.1:0', 'nvidia-smi': '/nonexistent', servers }),
  )
  agent = await spawnPart('agent', ['--config', config])
})

afterAll(async () => {
  await agent?.stop()
  for (const close of closers) close()
  await fleet?.stop()
  rmSync(folder, { recursive: true, force: true })
})

type Shown = {
  readonly endpoint: {
    readonly id: string
    readonly protocol: string
    readonly state: string
    readonly capacity: number
    readonly models: readonly string[]
  }
  readonly load: Readonly<Record<string, number>>
  readonly load_sources: Readonly<Record<string, string>>
  readonly server_kind: string
}

async function shown(id: string): Promise<Shown | undefined> {
  const { nodes } = JSON.parse(await fleet.admin('nodes', '--json')) as {
    readonly nodes: readonly { readonly endpoints: readonly Shown[] }[]
  }
  return nodes.flatMap(({ endpoints }) => endpoints).find(({ endpoint }) => endpoint.id === id)
}

async function infer(model: string): Promise<StreamEnd> {
  const session = await connectGrpc(fleet.proxy.listen)
  onTestFinished(() => session.destroy())
  const stream = session.open('/inference.GRPCInferenceService/ModelInfer')
  stream.head.catch(() => {})
  stream.send(ModelInferRequest.encode(ModelInferRequest.fromPartial({ modelName: model })).finish())
  stream.halfClose()
  return stream.ended
}

test('an operator sees the load of each server and where each number is from', async () => {
  await expect
    .poll(() => shown('gpu-b/chat'), soon)
    .toMatchObject({
      endpoint: { protocol: 'PROTOCOL_HTTP', state: 'ENDPOINT_STATE_READY', models: ['llama'] },
      server_kind: 'vllm',
      load: { queue_depth: 9, running: 64, kv_cache_use: 0.91 },
      load_sources: { queue_depth: 'vllm:num_requests_waiting', kv_cache_use: 'vllm:kv_cache_usage_perc' },
    })
  await expect
    .poll(() => shown('gpu-b/images'), soon)
    .toMatchObject({
      endpoint: { protocol: 'PROTOCOL_GRPC', models: ['resnet18'], capacity: 8 },
      load: { queue_depth: 7 },
      load_sources: { queue_depth: '/models jobQueueStatus.pendingRequests', capacity: '/models workers × batchSize' },
    })
})

test.each([
  ['llama', 'model "llama" is served by HTTP only'],
  ['resnet18', `model "resnet18" is served by another gRPC service than KServe's only: call that service, by a prefix under "routes"`],
])('a KServe request for %s is refused with the reason', async (model, words) => {
  await expect.poll(() => infer(model), soon).toMatchObject({ status: 12, details: expect.stringContaining(words) })
  await expect.poll(() => fleet.proxy.metric('millrace_refusals_total', 'reason="other-protocol"'), soon).toBeGreaterThan(0)
})
