/** A proxy that starts while its control plane is away serves from what it saved, and takes the control plane's word once that is back. */
import { mkdtempSync, readdirSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { tell, until } from '../tools/fleet.ts'
import { freePorts } from '../tools/free-ports.ts'
import { ask, connectGrpc } from '../tools/grpc-session.ts'
import { type MeshSource, meshEndpoint, startMeshSource } from '../tools/mesh-source.ts'
import { readMetric } from '../tools/proxy.ts'
import { MODEL_INFER, startSim, type TestSim, tokenRequest } from '../tools/sim-server.ts'
import { type Part, spawnPart } from '../tools/spawn-part.ts'

const FREE = '127.0.0.1:0'
const DEADLINE_MS = 30_000

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

function stateDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-state-'))
  closers.push(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

async function sim(): Promise<TestSim> {
  const started = await startSim('--listen', FREE, '--http-listen', FREE)
  closers.push(() => started.stop())
  return started
}

async function source(listen?: string): Promise<MeshSource> {
  const started = await startMeshSource(listen)
  closers.push(() => started.stop())
  return started
}

async function proxy(controlPlane: string, dir: string): Promise<Part> {
  const argv = ['--listen', FREE, '--metrics-listen', FREE, '--control-plane', controlPlane, '--state-dir', dir, '--name-endpoints']
  const part = await spawnPart('data-plane', argv)
  closers.push(() => part.stop())
  return part
}

const metric = (of: Part, name: string): Promise<number> => readMetric(`http://${of.fields.metrics}/metrics`, name)

async function servedBy(of: Part): Promise<string> {
  const session = await connectGrpc(of.fields.listen ?? '')
  const { headers, details } = await ask(session, MODEL_INFER, tokenRequest({ tokens: 1 }))
  session.destroy()
  return String(headers['x-millrace-endpoint'] ?? details)
}

test('a proxy that starts without its control plane serves from the disk; the control plane’s return replaces what was saved', async () => {
  const dir = stateDir()
  const [first, second] = [await sim(), await sim()]
  // It comes back where it was: on a port that the kernel gives to nobody meanwhile.
  const [port = 0] = await freePorts(1)
  const mesh = await source(`127.0.0.1:${port}`)
  const before = await proxy(mesh.address, dir)
  await until('the proxy is there', () => mesh.hellos.length === 1, DEADLINE_MS)
  expect(mesh.hellos[0]?.endpointVersions).toEqual({})
  await mesh.push([meshEndpoint('gpu-1/sim', first.listen), meshEndpoint('gone/sim', '127.0.0.1:9', { models: ['other'] })])
  await until('it is saved', async () => (await metric(before, 'millrace_state_saves_total')) > 0, DEADLINE_MS)
  before.kill()
  await before.exited
  mesh.stop()

  const after = await proxy(mesh.address, dir)
  const line = await after.waitForLine(/state\.restored/, DEADLINE_MS)
  expect(JSON.parse(line)).toMatchObject({ endpoints: 2 })
  expect(JSON.parse(line).ageSeconds).toBeGreaterThanOrEqual(0)
  expect(await servedBy(after)).toBe('gpu-1/sim')
  expect(await metric(after, 'millrace_mesh_connected')).toBe(0)
  expect((await fetch(`http://${after.fields.metrics}/readyz`)).status).toBe(200)

  const backAt = performance.now()
  const back = await source(mesh.address)
  await until('the proxy is there again', () => back.hellos.length === 1, DEADLINE_MS)
  tell(`the proxy was back ${Math.round(performance.now() - backAt)} ms after its control plane`)
  expect(Object.keys(back.hellos[0]?.endpointVersions ?? {}).sort(), 'it says what it holds').toEqual(['gone/sim', 'gpu-1/sim'])
  await back.push([meshEndpoint('gpu-2/sim', second.listen)], ['gone/sim', 'gpu-1/sim'])
  await expect.poll(() => servedBy(after), { timeout: DEADLINE_MS }).toBe('gpu-2/sim')
  await expect.poll(() => metric(after, 'millrace_endpoint_count')).toBe(1)
})

test('what changed last is saved at a stop, and a damaged file is set aside with one line', async () => {
  const dir = stateDir()
  const server = await sim()
  const mesh = await source()
  const before = await proxy(mesh.address, dir)
  await until('the proxy is there', () => mesh.hellos.length === 1, DEADLINE_MS)
  await mesh.push([meshEndpoint('gpu-1/sim', server.listen)])
  expect(await before.stop()).toBe(0)
  expect(readdirSync(dir)).toEqual(['picture.jsonl'])
  truncateSync(join(dir, 'picture.jsonl'), 100)

  const after = await proxy(mesh.address, dir)
  await after.waitForLine(/state\.damaged/, DEADLINE_MS)
  expect(after.stderr.filter((line) => line.includes('state.damaged'))).toHaveLength(1)
  expect(readdirSync(dir)).toEqual(['picture.jsonl.damaged'])
  await until('it asks for everything', () => mesh.hellos.length === 2, DEADLINE_MS)
  expect(mesh.hellos[1]?.endpointVersions).toEqual({})
  await mesh.push([meshEndpoint('gpu-1/sim', server.listen)])
  await expect.poll(() => servedBy(after), { timeout: DEADLINE_MS }).toBe('gpu-1/sim')
})
