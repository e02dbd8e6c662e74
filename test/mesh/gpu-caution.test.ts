/**
 * GPUs that still work and announce that they may not: heat and corrected errors that grow take weight first and drain next, before anything fails, and
 * whoever has no other may still be asked. Agents, NATS and control plane are real processes; the simulated nvidia-smi changes its scene while it runs.
 */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, test } from 'vitest'
import type { NodeWhole } from '../../cli/admin-node.ts'
import type { WeightView } from '../../cli/admin-tables.ts'
import { startVerb } from '../../cli/child.ts'
import { limits } from '../../core/limits.ts'
import { startNats } from '../tools/nats.ts'
import { type Part, spawnPart } from '../tools/spawn-part.ts'

/** Heat is waited out as in life, three quarters of a minute. */
const full = process.env.MILLRACE_FULL === '1'

const FREE = '127.0.0.1:0'
const QUIET = ['--log-level', 'warn']
const NVIDIA_SMI = fileURLToPath(new URL('../../sim/nvidia-smi/nvidia-smi', import.meta.url))
/** Of which every scene tells. */
const SICK_GPU = '1'
const PATIENCE = { timeout: limits.throttleDrain + 60_000, interval: 100 }

const closers: (() => Promise<unknown> | unknown)[] = []
let folder = ''
let controlPlane: Part

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-caution-'))
  closers.push(() => rmSync(folder, { recursive: true }))
  const nats = await startNats()
  closers.push(() => nats.stop())
  controlPlane = await part('control-plane', ['--listen', FREE, '--metrics-listen', FREE, '--nats', nats.url, ...QUIET])
  for (const node of ['hot', 'worn']) await startHost(node, nats.url)
})
afterAll(async () => {
  for (const close of closers.reverse()) await close()
})

async function part(verb: string, argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Part> {
  const started = await spawnPart(verb, argv, { env })
  closers.push(() => started.stop())
  return started
}

/** A server on one GPU of a host, and its agent. */
async function startHost(node: string, nats: string): Promise<void> {
  play(node, 'healthy')
  const { fields } = await part('sim-server', ['--listen', FREE, '--http-listen', FREE, ...QUIET])
  const server = { grpc: fields.listen, http: fields.http, metrics: `http://${fields.http}/metrics`, gpus: [SICK_GPU] }
  const file = join(folder, `${node}.json`)
  writeFileSync(file, JSON.stringify({ node, nats, servers: [server] }))
  const env = { MILLRACE_SIM_SCENE_FILE: join(folder, `${node}.scene`), MILLRACE_SIM_GPU_SEED: node, MILLRACE_NODE_BIN: process.execPath }
  const about = ['--config', file, '--nvidia-smi', NVIDIA_SMI, '--kernel-log', 'off', '--simulated', '--metrics-listen', FREE, ...QUIET]
  await part('agent', about, env)
}

function play(node: string, scene: string): void {
  const file = join(folder, `${node}.scene`)
  writeFileSync(`${file}.new`, scene)
  renameSync(`${file}.new`, file)
}

type Seen = {
  readonly state: string
  readonly weight: number
  readonly history: readonly { readonly state: string; readonly reason: string }[]
}

/** Its one endpoint as operators see it, and what became of it, oldest first. */
async function look(node: string): Promise<Partial<Seen>> {
  const child = await startVerb('admin', 'admin', ['node', node, '--json', '--to', controlPlane.fields.listen ?? ''])
  if ((await child.exited) !== 0) return {}
  const answer = JSON.parse(child.stdout.join('\n')) as { node: NodeWhole; weights: readonly WeightView[] }
  const [row] = answer.weights
  if (row === undefined) return {}
  const own = answer.node.history.filter(({ endpoint_id }) => endpoint_id === row.endpoint_id)
  return {
    state: row.state.replace('ENDPOINT_STATE_', ''),
    weight: row.weight,
    history: own.map(({ to, reason }) => ({ state: to, reason })).reverse(),
  }
}

type Story = readonly [node: string, scene: string, slower: RegExp, out: RegExp]
const HEAT: Story = [
  'hot',
  'throttle-thermal',
  /^GPU-.*: slowed down by heat or power$/,
  /: slowed down by heat or power for more than 30 s\)$/,
]
const ERRORS: Story = [
  'worn',
  'ecc-corrected-growth',
  /^GPU-.*: its corrected memory errors grow$/,
  /: its corrected memory errors grow fast\)$/,
]

test.for<Story>(full ? [HEAT, ERRORS] : [ERRORS])(
  'a GPU that is %s costs its server weight first and its place next, and never makes it FAILED',
  { concurrent: true },
  async ([node, scene, slower, out], { expect }) => {
    await expect.poll(() => look(node), PATIENCE).toMatchObject({ state: 'READY' })
    const well = await look(node)
    play(node, scene)
    await expect.poll(() => look(node), PATIENCE).toMatchObject({ state: 'DRAINING' })
    const { weight, history = [] } = await look(node)
    // A proxy that has nobody else may ask it: so it has a weight.
    expect(weight).toBeGreaterThan(0)
    expect(history.slice(well.history?.length)).toEqual([
      { state: 'READY', reason: expect.stringMatching(slower) },
      { state: 'DRAINING', reason: expect.stringMatching(out) },
    ])
    // Cool again, or reset so that its counters begin anew.
    play(node, 'healthy')
    await expect.poll(() => look(node), PATIENCE).toMatchObject({ state: 'READY' })
  },
)
