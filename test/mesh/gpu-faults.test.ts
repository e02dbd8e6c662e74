/**
 * A GPU that dies takes the server that uses it out of service and no other: the kernel's log to the client, through an agent, NATS, a control plane and two
 * proxies as real processes, under load. The simulated host has eight GPUs and a file for its kernel's log.
 */
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connect } from 'nats'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startVerb } from '../../cli/child.ts'
import { GpuBinding, type NodeEvent, NodeReport, XidAction } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { tell, until } from '../tools/fleet.ts'
import { Load } from '../tools/load.ts'
import { startNats, type TestNats } from '../tools/nats.ts'
import { readMetric } from '../tools/proxy.ts'
import { type Part, spawnPart } from '../tools/spawn-part.ts'

const FREE = '127.0.0.1:0'
const QUIET = ['--log-level', 'warn']
const NVIDIA_SMI = fileURLToPath(new URL('../../sim/nvidia-smi/nvidia-smi', import.meta.url))
const HOST = ['--nvidia-smi', NVIDIA_SMI, '--simulated', '--metrics-listen', FREE, ...QUIET]
/** Of both proxies together. */
const PER_SECOND = 200
const LEFT = 'gpu-a/left'
const RIGHT = 'gpu-a/right'
/** The first GPU of the simulated host, which is the left server's; the third is nobody's. */
const FIRST_PLACE = '0000:18:00'
const THIRD_PLACE = '0000:3a:00'
/** Long enough for dozens of requests. */
const QUIET_MS = 1_500

const closers: (() => Promise<unknown> | unknown)[] = []
let kernelLog = ''
let controlPlane: Part
let loads: Load[] = []
let agent: Part
let nats: TestNats
const reports: NodeReport[] = []

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-faults-'))
  closers.push(() => rmSync(folder, { recursive: true }))
  kernelLog = join(folder, 'kern.log')
  writeFileSync(kernelLog, '[    0.000000] Linux version 6.8.0-49-generic\n')
  nats = await startNats()
  closers.push(() => nats.stop())
  await hear(nats.url)
  controlPlane = await part('control-plane', ['--listen', FREE, '--metrics-listen', FREE, '--nats', nats.url, ...QUIET])
  const servers = await Promise.all(
    ['left', 'right'].map(async (name, gpu) => ({ name, ...(await startServer()).at, gpus: [gpu], capacity: 32 })),
  )
  const file = join(folder, 'agent.json')
  writeFileSync(file, JSON.stringify({ node: 'gpu-a', zone: 'z1', nats: nats.url, servers }))
  const env = { MILLRACE_SIM_CAPTURE: 'h100x8', MILLRACE_SIM_GPU_SEED: 'gpu-a', MILLRACE_NODE_BIN: process.execPath }
  agent = await part('agent', ['--config', file, '--kernel-log', kernelLog, ...HOST], env)
  const proxies = await Promise.all([1, 2].map((at) => startProxy(`proxy-${at}`)))
  loads = proxies.map((proxy) => new Load({ to: proxy.fields.listen ?? '', perSecond: PER_SECOND / proxies.length }))
  closers.push(...loads.map((load) => () => load.stop()))
  await until('both servers serve through both proxies', () => loads.every((load) => load.served().size === 2))
})
afterAll(async () => {
  for (const close of closers.reverse()) await close()
})

async function part(verb: string, argv: readonly string[], env?: Readonly<Record<string, string>>): Promise<Part> {
  const started = await spawnPart(verb, argv, env === undefined ? {} : { env })
  closers.push(() => started.stop())
  return started
}

async function startServer() {
  const speed = ['--slots', '32', '--prefill-ms', '2', '--token-ms', '1']
  const { fields, pid } = await part('sim-server', ['--listen', FREE, '--http-listen', FREE, ...speed, ...QUIET])
  const { listen = '', http = '' } = fields
  return { pid, at: { grpc: listen, http, metrics: `http://${http}/metrics` } }
}

async function startProxy(id: string): Promise<Part> {
  const about = ['--control-plane', controlPlane.fields.listen ?? '', '--zone', 'z1', '--name-endpoints', '--proxy-id', id]
  const proxy = await part('data-plane', ['--listen', FREE, '--metrics-listen', FREE, ...about, ...QUIET])
  await until(
    'the proxy knows both servers',
    async () => (await readMetric(`http://${proxy.fields.metrics}/metrics`, 'millrace_endpoint_count').catch(() => 0)) === 2,
  )
  return proxy
}

async function hear(url: string): Promise<void> {
  const connection = await connect({ servers: url })
  closers.push(() => connection.close())
  connection.subscribe('millrace.default.telemetry.*', {
    callback: (_, message) => void reports.push(NodeReport.decode(message.data)),
  })
  await connection.flush()
}

async function admin(...argv: readonly string[]): Promise<string> {
  const child = await startVerb('admin', 'admin', [...argv, '--to', controlPlane.fields.listen ?? ''])
  await child.exited
  return child.stdout.join('\n')
}

/** Returns when it was written. */
function kernelSays(text: string): number {
  const at = performance.now()
  appendFileSync(kernelLog, `${text}\n`)
  return at
}

const xids = (): NodeEvent[] => reports.flatMap(({ events }) => events.filter(({ kind }) => kind === 'xid'))
const uuidOf = (node: string, index: number): string =>
  reports.findLast(({ nodeId, full }) => nodeId === node && full)?.gpus.find((gpu) => gpu.index === index)?.uuid ?? 'unknown'
const lastServedAfter = (since: number, endpoint: string): number => Math.max(...loads.map((load) => load.lastServedAfter(since, endpoint)))
const failures = () => loads.flatMap((load) => load.failed())
const timePasses = (since: number, forMs: number): Promise<void> =>
  until('time passes', () => loads.every((load) => (load.ended().at(-1)?.startedAt ?? 0) > since + forMs))

test('an Xid 79 takes its server out of service at once, its neighbour goes on, and no request is lost', async () => {
  const at = kernelSays(`[  812.250000] NVRM: Xid (PCI:${FIRST_PLACE}): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.`)
  await timePasses(at, QUIET_MS)
  tell(`last new request ${lastServedAfter(at, LEFT)} ms after the line in the kernel's log (wanted: 300)`)
  await until('the left server stays quiet', () => loads.every((load) => load.served(performance.now() - 1_000).get(LEFT) === undefined))
  expect(loads.every((load) => (load.served(at).get(RIGHT) ?? 0) > 0)).toBe(true)
  expect(failures()).toEqual([])

  const nodes = await admin('nodes')
  expect(nodes).toMatch(new RegExp(`${LEFT} .* FAILED \\(.*Xid 79: GPU has fallen off the bus; reboot the node`))
  expect(nodes).toMatch(new RegExp(`${RIGHT} .* READY `))
  expect(xids()).toMatchObject([{ xid: 79, xidAction: XidAction.XID_ACTION_REBOOT_NODE }])
})

test('good rows of nvidia-smi do not bring it back; a new boot does, by way of probation and slow start', async () => {
  const since = performance.now()
  await timePasses(since, 2_000)
  expect(loads.some((load) => load.served(since).has(LEFT))).toBe(false)

  const at = kernelSays('[    0.000000] Linux version 6.8.0-49-generic')
  await until('it serves again', () => loads.every((load) => load.served(at).has(LEFT)))
  tell(`first new request ${Math.min(...loads.map((load) => firstServedAfter(load, at)))} ms after the boot`)
  const factor = /slow[_-]?start ([\d.]+)/i.exec((await admin('weights')).split('\n').find((line) => line.startsWith(LEFT)) ?? '')?.[1]
  expect(Number(factor)).toBeLessThan(1)
  expect(failures()).toEqual([])
})

test("an application's Xid, or the fault of a GPU that no server uses, is an event and takes nothing away", async () => {
  const told = xids().length
  const at = kernelSays(`NVRM: Xid (PCI:${FIRST_PLACE}): 31, pid=77, name=tritonserver, Ch 00000010, MMU Fault`)
  kernelSays(`NVRM: Xid (PCI:${THIRD_PLACE}): 119, pid=77, name=x, Timeout after 6s of waiting for RPC response from GPU2 GSP!`)
  await until('both are told', () => xids().length === told + 2)
  await timePasses(at, QUIET_MS)
  const nodes = await admin('nodes')
  for (const endpoint of [LEFT, RIGHT]) expect(nodes).toMatch(new RegExp(`${endpoint} .* READY `))
  expect(loads.map((load) => load.served(at).size)).toEqual([2, 2])
  expect(await readMetric(`http://${agent.fields.metrics}/metrics`, 'millrace_agent_gpu_faults')).toBe(1)
  expect(failures()).toEqual([])
})

test('an operator who has seen to a GPU brings its server back', async () => {
  kernelSays(`NVRM: Xid (PCI:${FIRST_PLACE}): 119, pid=77, name=x, Timeout after 6s of waiting for RPC response from GPU0 GSP!`)
  await until('its server is FAILED', async () => new RegExp(`${LEFT} .* FAILED \\(.*reset the GPU`).test(await admin('nodes')))
  expect(await admin('clear-fault', 'gpu-a', uuidOf('gpu-a', 0))).toContain('cleared: Xid 119')
  const clearedAt = performance.now()
  await until('it serves again', () => loads.every((load) => load.served(clearedAt).has(LEFT)))
  expect(failures()).toEqual([])
})

test('a server that nobody said the GPUs of is known by its process', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-apps-'))
  closers.push(() => rmSync(folder, { recursive: true }))
  const { at, pid } = await startServer()
  const apps = join(folder, 'apps')
  writeFileSync(apps, `5, ${pid}, simulated, 1024\n6, ${process.pid}, a stranger, 1024\n`)
  const env = {
    MILLRACE_SIM_CAPTURE: 'h100x8',
    MILLRACE_SIM_GPU_SEED: 'gpu-b',
    MILLRACE_SIM_APPS_FILE: apps,
    MILLRACE_NODE_BIN: process.execPath,
  }
  await part(
    'agent',
    ['--node', 'gpu-b', '--nats', nats.url, '--server-grpc', at.grpc, '--server-http', at.http, '--server-metrics', at.metrics, ...HOST],
    env,
  )
  const endpoint = () => reports.findLast(({ nodeId, endpoints }) => nodeId === 'gpu-b' && endpoints.length > 0)?.endpoints[0]
  await until('its process is known', () => endpoint()?.gpuBinding === GpuBinding.GPU_BINDING_PROCESS)
  // The row of that GPU may come with a later report.
  await expect.poll(() => endpoint()?.gpuUuids).toEqual([uuidOf('gpu-b', 5)])
})

function firstServedAfter(load: Load, since: number): number {
  const first = load.ended(since).find(({ endpoint }) => endpoint === LEFT)
  return first === undefined ? Number.POSITIVE_INFINITY : Math.round(first.startedAt - since)
}
