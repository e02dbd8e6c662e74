/** The agent as a process, beside a real NATS server and the simulated nvidia-smi: what the mesh hears of a host. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connect } from 'nats'
import { expect, onTestFinished, test, vi } from 'vitest'
import { lastLines, startVerb } from '../../cli/child.ts'
import { EndpointHealth, GpuState, GpuTelemetry, NodeReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { startNats, type TestNats } from '../tools/nats.ts'
import { childrenOf } from '../tools/proxy.ts'
import { type Part, spawnPart } from '../tools/spawn-part.ts'

const NVIDIA_SMI = fileURLToPath(new URL('../../sim/nvidia-smi/nvidia-smi', import.meta.url))
const soon = { timeout: 30_000, interval: 20 }

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

/** A simulated server, and its row in an agent's file. */
async function simServer(name: string, ...argv: string[]): Promise<{ readonly part: Part; readonly row: string; readonly argv: string[] }> {
  const free = ['--listen', '127.0.0.1:0', '--http-listen', '127.0.0.1:0']
  const part = await spawnPart('sim-server', [...free, ...argv])
  onTestFinished(() => part.kill())
  const { listen = '', http = '' } = part.fields
  const row = `{ name: ${name}, grpc: '${listen}', http: '${http}', metrics: 'http://${http}/metrics' }`
  return { part, row, argv: ['--listen', listen, '--http-listen', http, ...argv] }
}

const healthOf = (heard: readonly NodeReport[], id: string) =>
  heard.flatMap(({ endpoints }) => endpoints).findLast((endpoint) => endpoint.id === id)?.health

test('servers of one host come, go, die and come back under their names, without a restart of the agent', async () => {
  const nats = await bus()
  const heard = await listen(nats.url)
  const folder = mkdtempSync(join(tmpdir(), 'millrace-agent-servers-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const [left, right] = await Promise.all([simServer('left', '--models', 'a'), simServer('right', '--models', 'b,c')])
  writeFileSync(join(folder, 'left.yaml'), `servers: [${left.row}]`)
  await startAgent(nats.url, 'h100', '--servers-from', folder)
  await expect.poll(() => healthOf(heard, 'gpu-a/left'), soon).toBe(EndpointHealth.ENDPOINT_HEALTH_READY)

  writeFileSync(join(folder, 'right.yaml'), `servers: [${right.row}]`)
  await expect.poll(() => healthOf(heard, 'gpu-a/right'), soon).toBe(EndpointHealth.ENDPOINT_HEALTH_READY)
  const full = () => heard.findLast((report) => report.full)?.endpoints.map(({ id, models }) => [id, models])
  const rows = new Map(heard.flatMap(({ endpoints }) => endpoints.map(({ id, models }) => [id, models])))
  expect([...rows]).toEqual([
    ['gpu-a/left', ['a']],
    ['gpu-a/right', ['b', 'c']],
  ])

  right.part.kill()
  await expect.poll(() => healthOf(heard, 'gpu-a/right'), soon).toBe(EndpointHealth.ENDPOINT_HEALTH_FAILED)
  expect(healthOf(heard, 'gpu-a/left')).toBe(EndpointHealth.ENDPOINT_HEALTH_READY)
  await right.part.exited
  const again = await spawnPart('sim-server', right.argv)
  onTestFinished(() => again.kill())
  await expect.poll(() => healthOf(heard, 'gpu-a/right'), soon).toBe(EndpointHealth.ENDPOINT_HEALTH_READY)

  rmSync(join(folder, 'left.yaml'))
  await expect.poll(full, soon).toEqual([['gpu-a/right', ['b', 'c']]])
  expect(new Set(heard.map(({ bootId }) => bootId)).size).toBe(1)
})

test('a server whose queue refuses is busy, one that serves again is ready', async () => {
  const nats = await bus()
  const heard = await listen(nats.url)
  const { part, row } = await simServer('sim', '--behave', 'queue-full')
  const folder = mkdtempSync(join(tmpdir(), 'millrace-agent-busy-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'sim.yaml'), `servers: [${row}]`)
  await startAgent(nats.url, 'h100', '--servers-from', folder)
  await expect
    .poll(() => newest(heard), soon)
    .toMatchObject({ health: EndpointHealth.ENDPOINT_HEALTH_BUSY, healthReason: expect.stringMatching(/queue/) })
  await fetch(`http://${part.fields.http}/sim/behave`, { method: 'POST', body: '{"mode":"normal"}' })
  await expect.poll(() => newest(heard)?.health, soon).toBe(EndpointHealth.ENDPOINT_HEALTH_READY)
  expect(heard.flatMap(({ endpoints }) => endpoints).some(({ health }) => health === EndpointHealth.ENDPOINT_HEALTH_FAILED)).toBe(false)
})

test('--check says what is seen and what is not, and ends with 0 or 1', async () => {
  const nats = await bus()
  const { part } = await simServer('sim')
  const { listen: grpc = '', http = '' } = part.fields
  const about = ['--server-grpc', grpc, '--server-http', http, '--server-metrics', `http://${http}/metrics`]
  const check = async (...argv: string[]) => {
    const fixed = [
      '--check',
      '--node',
      'gpu-a',
      '--nats',
      nats.url.replace('nats://', ''),
      '--nvidia-smi',
      NVIDIA_SMI,
      '--kernel-log',
      'off',
      ...argv,
    ]
    const child = await startVerb('check', 'agent', fixed, { MILLRACE_SIM_CAPTURE: 'h100' })
    return { code: await child.exited, said: child.stdout.join('\n') }
  }
  expect(await check(...about)).toEqual({
    code: 0,
    said: expect.stringMatching(/ok {3}servers {4}gpu-a\/triton \(triton\) at .*: READY; models sim_llm/),
  })
  const json = await check(...about, '--server-grpc', '127.0.0.1:1', '--json')
  expect(json.code).toBe(1)
  expect(JSON.parse(json.said)).toMatchObject({ ok: false, node: 'gpu-a' })
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
  // The first one removes the store that it made.
  onTestFinished(() => again.stop().then(nats.stop))
  await vi.waitFor(() => expect(heard.slice(before).some(({ full, gpus }) => full && gpus.length === 1)).toBe(true), soon)
  expect(heard[before]?.bootId).toBe(heard[0]?.bootId)
  expect(heard.slice(1).every(({ sequence }, at) => sequence > (heard[at]?.sequence ?? 0n))).toBe(true)
})

test('an agent that is told to stop ends with 0 and leaves no nvidia-smi behind', async () => {
  const nats = await bus()
  const heard = await listen(nats.url)
  const agent = await startAgent(nats.url, 'h100')
  await vi.waitFor(() => expect(heard.some(({ gpus }) => gpus.length === 1)).toBe(true), soon)
  const children = childrenOf(agent.pid)
  // Beside the one that tells all the time there may be one that was just asked something.
  expect(children.filter((child) => argumentsOf(child).includes('-lms'))).toHaveLength(1)
  expect(children.length).toBeLessThanOrEqual(2)
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
  await expect.poll(() => agent.stderr.filter((line) => line.includes('no-gpu')), soon).toHaveLength(1)
})

test('a metrics port in use is refused in one line that names the cure', async () => {
  const server = await startServer()
  await expect(startAgent('127.0.0.1:4222', 'h100', '--metrics-listen', server.at)).rejects.toThrow(
    `millrace agent: metrics and health: ${server.at} is in use by another process; stop that one or choose another port`,
  )
})

const newest = (heard: readonly NodeReport[]) => heard.findLast(({ endpoints }) => endpoints.length > 0)?.endpoints[0]

/** Empty for a process that has just ended. */
function argumentsOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return []
  }
}
