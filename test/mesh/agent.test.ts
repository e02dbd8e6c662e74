/** The agent as a process, beside a real NATS server and the simulated nvidia-smi: what the mesh hears of a host. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { connect } from 'nats'
import { expect, onTestFinished, test, vi } from 'vitest'
import { lastLines } from '../../cli/child.ts'
import { EndpointHealth, GpuState, GpuTelemetry, NodeReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { startNats, type TestNats } from '../tools/nats.ts'
import { type Part, spawnPart } from '../tools/spawn-part.ts'

const NVIDIA_SMI = fileURLToPath(new URL('../../sim/nvidia-smi/nvidia-smi', import.meta.url))
const soon = { timeout: 15_000, interval: 20 }

async function bus(): Promise<TestNats> {
  const nats = await startNats()
  onTestFinished(() => nats.stop())
  return nats
}

/** All reports of a mesh, oldest first. */
async function listen(url: string): Promise<NodeReport[]> {
  const connection = await connect({ servers: url, maxReconnectAttempts: -1, reconnectTimeWait: 50 })
  onTestFinished(() => connection.close())
  const heard: NodeReport[] = []
  connection.subscribe('millrace.default.telemetry.*', { callback: (_, message) => void heard.push(NodeReport.decode(message.data)) })
  await connection.flush()
  return heard
}

async function startAgent(nats: string, capture: string, ...argv: string[]): Promise<Part> {
  const env = { MILLRACE_SIM_CAPTURE: capture, MILLRACE_SIM_GPU_SEED: 'gpu-a' }
  const fixed = [
    '--node',
    'gpu-a',
    '--zone',
    'z1',
    '--nats',
    nats,
    '--metrics-listen',
    '127.0.0.1:0',
    '--nvidia-smi',
    NVIDIA_SMI,
    '--simulated',
  ]
  const agent = await spawnPart('agent', [...fixed, ...argv], { env })
  onTestFinished(() => agent.kill())
  return agent
}

/** Health and metrics of an inference server. */
async function startServer(): Promise<{ readonly at: string; metrics: string; stop(): void }> {
  const server = createServer((request, response) => response.end(request.url === '/metrics' ? fake.metrics : ''))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const stop = (): void => {
    server.close()
    server.closeAllConnections()
  }
  const fake = { at: `127.0.0.1:${(server.address() as AddressInfo).port}`, metrics: '', stop }
  onTestFinished(stop)
  return fake
}

test('a node tells of its GPUs and its server, and at once of a queue that fills and of a server that dies', async () => {
  const nats = await bus()
  const heard = await listen(nats.url)
  const server = await startServer()
  server.metrics = 'nv_inference_pending_request_count{model="llm",version="1"} 0\n'
  const about = [
    '--server-grpc',
    server.at,
    '--server-http',
    server.at,
    '--server-metrics',
    `http://${server.at}/metrics`,
    '--models',
    'llm',
  ]
  const agent = await startAgent(nats.url, 'h100x8', ...about, '--advertise', '10.0.0.5:8001', '--capacity', '4')
  expect(agent.fields.metrics).toMatch(/^127\.0\.0\.1:\d+$/)

  await vi.waitFor(() => expect(heard.some(({ full, gpus }) => full && gpus.length === 8)).toBe(true), soon)
  await vi.waitFor(() => expect(newest(heard)?.health).toBe(EndpointHealth.ENDPOINT_HEALTH_READY), soon)
  await vi.waitFor(() => expect(newest(heard)?.load?.queueDepth).toBe(0), soon)
  expect(newest(heard)).toMatchObject({ id: 'gpu-a/triton', address: '10.0.0.5:8001', models: ['llm'], capacity: 4 })
  expect(newest(heard)?.gpuUuids).toHaveLength(8)
  expect(heard[0]).toMatchObject({ nodeId: 'gpu-a', zone: 'z1', intervalMs: 500, full: true, sequence: 1n, simulated: true })

  server.metrics = 'nv_inference_pending_request_count{model="llm",version="1"} 40\n'
  await vi.waitFor(() => expect(newest(heard)?.load?.queueDepth).toBe(40), soon)
  server.stop()
  await vi.waitFor(
    () => expect(newest(heard)).toMatchObject({ health: EndpointHealth.ENDPOINT_HEALTH_FAILED, healthReason: 'refused' }),
    soon,
  )
  expect(heard.map(({ sequence }) => sequence)).toEqual(heard.map((_, at) => BigInt(at + 1)))
})

test('a lost GPU is told of, with an event, while the others keep their values', async () => {
  const nats = await bus()
  const heard = await listen(nats.url)
  await startAgent(nats.url, 'gpu-lost')
  await vi.waitFor(() => expect(heard.flatMap(({ events }) => events.map(({ kind }) => kind))).toEqual(['gpu.failed']), soon)
  const report = heard.find(({ events }) => events.length > 0)
  expect(report?.gpus.filter(({ state }) => state === GpuState.GPU_STATE_FAILED)).toHaveLength(1)
  expect(report?.gpuTelemetry).toBe(GpuTelemetry.GPU_TELEMETRY_OK)
})

test('after NATS came back all is told again, by the same boot, and the sequence goes on', async () => {
  const nats = await startNats()
  const heard = await listen(nats.url)
  const agent = await startAgent(nats.url, 'h100')
  await vi.waitFor(() => expect(heard.length).toBeGreaterThan(3), soon)
  nats.kill()
  const dropped = async (): Promise<number> => {
    const page = await (await fetch(`http://${agent.fields.metrics}/metrics`)).text()
    return Number(/^millrace_agent_reports_dropped_total\{reason="link-down"\} (\d+)/m.exec(page)?.[1] ?? 0)
  }
  await vi.waitFor(async () => expect(await dropped()).toBeGreaterThan(3), soon)
  expect((await fetch(`http://${agent.fields.metrics}/readyz`)).status).toBe(503)
  const before = heard.length
  const again = await startNats({ storeDir: nats.storeDir, port: nats.port })
  onTestFinished(() => again.stop())
  await vi.waitFor(() => expect(heard.slice(before).some(({ full, gpus }) => full && gpus.length === 1)).toBe(true), soon)
  expect(heard[before]?.bootId).toBe(heard[0]?.bootId)
  expect(heard.slice(1).every(({ sequence }, at) => sequence > (heard[at]?.sequence ?? 0n))).toBe(true)
})

test('an agent that is told to stop ends with 0 and leaves no nvidia-smi behind', async () => {
  const nats = await bus()
  const heard = await listen(nats.url)
  const agent = await startAgent(nats.url, 'h100')
  await vi.waitFor(() => expect(heard.some(({ gpus }) => gpus.length === 1)).toBe(true), soon)
  const children = readFileSync(`/proc/${agent.pid}/task/${agent.pid}/children`, 'utf8').trim().split(' ').map(Number)
  // The one that tells all the time, and perhaps one that was just asked something.
  expect(children.length).toBeGreaterThan(0)
  expect(await agent.stop(), lastLines(agent.stderr)).toBe(0)
  for (const child of children) await vi.waitFor(() => expect(() => process.kill(child, 0)).toThrow('ESRCH'), soon)
})

test('a host without nvidia-smi says so once and goes on reporting', async () => {
  const nats = await bus()
  const heard = await listen(nats.url)
  const agent = await startAgent(nats.url, 'h100', '--nvidia-smi', '/nowhere/nvidia-smi')
  await vi.waitFor(
    () => expect(heard.filter(({ gpuTelemetry }) => gpuTelemetry === GpuTelemetry.GPU_TELEMETRY_NO_GPU).length).toBeGreaterThan(5),
    soon,
  )
  expect(heard.at(-1)?.gpuTelemetryReason).toBe('/nowhere/nvidia-smi is not on this host')
  expect(agent.stderr.filter((line) => line.includes('no-gpu'))).toHaveLength(1)
})

test('a metrics port in use is refused in one line that names the cure', async () => {
  const server = await startServer()
  await expect(startAgent('127.0.0.1:4222', 'h100', '--metrics-listen', server.at)).rejects.toThrow(
    `millrace agent: metrics and health: ${server.at} is in use by another process; stop that one or choose another port`,
  )
})

const newest = (heard: readonly NodeReport[]) => heard.findLast(({ endpoints }) => endpoints.length > 0)?.endpoints[0]
