/**
 * A GPU that nvidia-smi no longer shows: its server stops at the first report that says so, its neighbour on the same host loses nothing, and everyone can
 * ask why. Agent, NATS, control plane and proxy are real processes, under load; a filter behind the simulated nvidia-smi takes the GPU away and gives it back.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connect } from 'nats'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ChangeView, NodeWhole } from '../../cli/admin-node.ts'
import type { WeightView } from '../../cli/admin-tables.ts'
import { startVerb } from '../../cli/child.ts'
import { GpuState, NodeReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { tell, until } from '../tools/fleet.ts'
import { Load } from '../tools/load.ts'
import { startNats } from '../tools/nats.ts'
import { type Part, spawnPart } from '../tools/spawn-part.ts'

const FREE = '127.0.0.1:0'
const QUIET = ['--log-level', 'warn']
const NVIDIA_SMI = fileURLToPath(new URL('../../sim/nvidia-smi/nvidia-smi', import.meta.url))
const PER_SECOND = 200
const LEFT = 'gpu-a/left'
const RIGHT = 'gpu-a/right'
const LEFT_GPU = 1

const closers: (() => Promise<unknown> | unknown)[] = []
let taken = ''
let controlPlane: Part
let load: Load
/** Before, the proxy knew of nobody. */
let begunAt = 0
/** By performance.now(), when a report first said that a GPU has failed. */
let reportedAt: number | undefined

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-lost-'))
  closers.push(() => rmSync(folder, { recursive: true }))
  taken = join(folder, 'taken')
  const nats = await startNats()
  closers.push(() => nats.stop())
  const connection = await connect({ servers: nats.url })
  closers.push(() => connection.close())
  connection.subscribe('millrace.default.telemetry.*', {
    callback: (_, message) => {
      const lost = NodeReport.decode(message.data).gpus.some(({ state }) => state === GpuState.GPU_STATE_FAILED)
      if (lost) reportedAt ??= performance.now()
    },
  })
  await connection.flush()
  controlPlane = await part('control-plane', ['--listen', FREE, '--metrics-listen', FREE, '--nats', nats.url, ...QUIET])
  const servers = [await startServer('left', LEFT_GPU), await startServer('right', LEFT_GPU + 1)]
  const file = join(folder, 'agent.json')
  writeFileSync(file, JSON.stringify({ node: 'gpu-a', zone: 'z1', nats: nats.url, servers }))
  const env = { MILLRACE_SIM_CAPTURE: 'h100x8', MILLRACE_SIM_GPU_SEED: 'gpu-a', MILLRACE_NODE_BIN: process.execPath }
  const about = ['--config', file, '--nvidia-smi', filter(folder), '--simulated', '--metrics-listen', FREE, ...QUIET]
  await part('agent', about, env)
  const mesh = ['--control-plane', controlPlane.fields.listen ?? '', '--zone', 'z1', '--name-endpoints', '--proxy-id', 'p']
  const proxy = await part('data-plane', ['--listen', FREE, '--metrics-listen', FREE, ...mesh, ...QUIET])
  load = new Load({ to: proxy.fields.listen ?? '', perSecond: PER_SECOND })
  closers.push(() => load.stop())
  await until('both servers serve', () => load.served(performance.now() - 1_000).size === 2)
  begunAt = performance.now()
})
afterAll(async () => {
  for (const close of closers.reverse()) await close()
})

async function part(verb: string, argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Part> {
  const started = await spawnPart(verb, argv, { env })
  closers.push(() => started.stop())
  return started
}

/** The simulated nvidia-smi without the rows of a GPU while a file says so. */
function filter(folder: string): string {
  const path = join(folder, 'nvidia-smi')
  const rows = `while IFS= read -r line; do [[ -e "${taken}" && "$line" == "${LEFT_GPU}, "* ]] || printf '%s\\n' "$line"; done`
  writeFileSync(path, `#!/usr/bin/env bash\nexec "${NVIDIA_SMI}" "$@" > >(${rows})\n`)
  chmodSync(path, 0o755)
  return path
}

async function startServer(name: string, gpu: number) {
  const about = ['--slots', '32', '--prefill-ms', '2', '--token-ms', '1', ...QUIET]
  const { fields } = await part('sim-server', ['--listen', FREE, '--http-listen', FREE, ...about])
  const { listen: grpc, http } = fields
  return { name, kind: 'triton', grpc, http, metrics: `http://${http}/metrics`, gpus: [String(gpu)], capacity: 32 }
}

async function admin(...argv: readonly string[]): Promise<string> {
  const child = await startVerb('admin', 'admin', [...argv, '--to', controlPlane.fields.listen ?? ''])
  expect(await child.exited, child.stderr.join('\n')).toBe(0)
  return child.stdout.join('\n')
}

/** Newest states first. */
async function readLeft(): Promise<{ readonly states: readonly string[]; readonly slowStart: number }> {
  const { node, weights } = JSON.parse(await admin('node', 'gpu-a', '--json')) as { node: NodeWhole; weights: readonly WeightView[] }
  const states = node.history.filter(({ endpoint_id }) => endpoint_id === LEFT).map(({ to }) => to)
  const slowStart = weights.find(({ endpoint_id }) => endpoint_id === LEFT)?.factors.slow_start ?? Number.NaN
  return { states: states.slice(0, 3), slowStart }
}

const timePasses = (since: number, forMs: number): Promise<void> =>
  until('time passes', () => (load.ended().at(-1)?.startedAt ?? 0) > since + forMs)

test('only its server stops, at the first report that shows it; the other loses no request; and the cause is told', async () => {
  const to = ['--to', controlPlane.fields.listen ?? '']
  const watch = await startVerb('watch', 'admin', ['watch', 'gpu-a', ...to])
  const program = await startVerb('watch as JSON', 'admin', ['watch', 'gpu-a', '--json', ...to])
  closers.push(
    () => watch.stop(),
    () => program.stop(),
  )
  writeFileSync(taken, '')
  await until('a report shows it', () => reportedAt !== undefined)
  const since = reportedAt ?? Number.NaN
  await timePasses(since, 1_500)
  tell(`last new request ${load.lastServedAfter(since, LEFT)} ms after the report`)
  const lately = () => load.served(performance.now() - 1_000)
  await until('its server stays quiet, and the other serves', () => !lately().has(LEFT) && lately().has(RIGHT))
  expect(load.failed(begunAt)).toEqual([])

  const page = await admin('node', 'gpu-a')
  expect(page).toMatch(new RegExp(`${LEFT} .* FAILED \\(no usable GPU \\(GPU-`))
  expect(page).toMatch(new RegExp(`${RIGHT} .* READY`))
  expect(page).toMatch(new RegExp(`${LEFT} +READY → FAILED \\(no usable GPU`))
  expect(page).toMatch(/ gpu-a +gpu\.failed \(GPU-/)
  await until('the watcher was told', () => watch.stdout.some((line) => line.includes(`${LEFT}  READY → FAILED (no usable GPU`)))
  const changes = (): ChangeView[] => program.stdout.flatMap((line) => (JSON.parse(line) as { changes: ChangeView[] }).changes)
  const failed = { node_id: 'gpu-a', endpoint_id: LEFT, from: 'READY', to: 'FAILED', reason: expect.stringContaining('no usable GPU') }
  await expect.poll(changes).toContainEqual(expect.objectContaining(failed))
})

test('given back, it serves again by way of probation and slow start', async () => {
  const since = performance.now()
  rmSync(taken)
  await until('it serves again', () => load.served(since).has(LEFT))
  await expect.poll(async () => (await readLeft()).states).toEqual(['READY', 'PROBATION', 'FAILED'])
  expect((await readLeft()).slowStart).toBeLessThan(1)
  expect(load.failed(begunAt)).toEqual([])
})
