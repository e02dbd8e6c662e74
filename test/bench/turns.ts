/**
 * `node test/bench/turns.ts`: how long a turn of the event loop gets in a proxy's primary and workers while ten thousand endpoints come, change and
 * go, by the file and by the mesh stream, loads arrive, the metrics page is read and the picture is saved, all under load.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import type { LoadUpdate } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import { Load } from '../tools/load.ts'
import { type MeshSource, meshEndpoint, startMeshSource } from '../tools/mesh-source.ts'
import { childrenOf, readMetric, staticSnapshot } from '../tools/proxy.ts'
import { startSim } from '../tools/sim-server.ts'
import { type Part, spawnPart } from '../tools/spawn-part.ts'
import type { TurnSpan } from './turn-probe.ts'

const ENDPOINTS = Number(process.env.ENDPOINTS ?? 10_000)
const WORKERS = Number(process.env.WORKERS ?? 2)
const PER_SECOND = Number(process.env.PER_SECOND ?? 300)
const PHASE_MS = 5_000
const SCRAPE_MS = 200
const GOAL_MS = 5
const FREE = '127.0.0.1:0'
const PROBE = pathToFileURL(join(import.meta.dirname, 'turn-probe.ts')).href

const say = (line: string): void => void process.stdout.write(`${line}\n`)

type Phase = { readonly name: string; run(): Promise<void> }

const others = (name: string) =>
  Array.from({ length: ENDPOINTS }, (_, at) => ({ id: `${name}-${at}/sim`, address: '127.0.0.1:9', models: [`model-${at % 50}`] }))

async function startProbed(folder: string, argv: readonly string[]): Promise<Part> {
  const env = { NODE_OPTIONS: `--import ${PROBE}`, MILLRACE_TURN_PROBE: folder }
  const more = ['--listen', FREE, '--metrics-listen', FREE, '--workers', String(WORKERS), '--name-endpoints', '--log-level', 'warn']
  return spawnPart('data-plane', [...argv, ...more], { env })
}

const knows = async (proxy: Part, count: number): Promise<void> => {
  while ((await readMetric(`http://${proxy.fields.metrics}/metrics`, 'millrace_endpoint_count')) !== count) await wait(50)
}

/** By the file: come, all replaced, gone. */
function filePhases(proxy: Part, file: string, real: { readonly id: string; readonly address: string }): readonly Phase[] {
  const put = async (name: string | undefined): Promise<void> => {
    writeFileSync(file, JSON.stringify(staticSnapshot([real, ...(name === undefined ? [] : others(name))])))
    await wait(PHASE_MS)
    await knows(proxy, name === undefined ? 1 : ENDPOINTS + 1)
  }
  return [
    { name: 'load alone', run: () => wait(PHASE_MS) },
    { name: `${ENDPOINTS} come by the file`, run: () => put('first') },
    { name: 'all are replaced by others', run: () => put('second') },
    { name: 'the page is read 5 times a second', run: () => scraped(proxy) },
    { name: 'all go', run: () => put(undefined) },
  ]
}

async function scraped(proxy: Part): Promise<void> {
  for (const end = performance.now() + PHASE_MS; performance.now() < end; await wait(SCRAPE_MS))
    await (await fetch(`http://${proxy.fields.metrics}/metrics`)).text()
}

/** By the mesh stream, with loads, changes, saves and reads of the page at once. */
function meshPhases(proxy: Part, mesh: MeshSource, real: ReturnType<typeof meshEndpoint>): readonly Phase[] {
  const all = others('mesh').map(({ id, address, models }) => meshEndpoint(id, address, { models }))
  const loads = (queueDepth: number): LoadUpdate[] =>
    all.map(({ id }) => ({ endpointId: id, ageMs: 5, ages: false, load: { queueDepth, running: 1, models: [] } as LoadUpdate['load'] }))
  const changing = async (): Promise<void> => {
    const scraping = scraped(proxy)
    for (let step = 0; step < PHASE_MS / 250; step++) {
      await mesh.push(all.slice(0, ENDPOINTS / 20).map((one) => ({ ...one, weight: 100 + (step % 7) })))
      mesh.pushLoads(loads(step))
      await wait(200)
    }
    await scraping
  }
  return [
    {
      name: `${ENDPOINTS} come by the mesh stream, and are saved`,
      run: async () => {
        await mesh.push([real, ...all])
        await wait(PHASE_MS)
        await knows(proxy, ENDPOINTS + 1)
      },
    },
    { name: '500 change 4 times a second, loads of all, page read, saves', run: changing },
  ]
}

const spansOf = (folder: string, pid: number): readonly TurnSpan[] => {
  try {
    return readFileSync(join(folder, `${pid}.jsonl`), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as TurnSpan)
  } catch {
    return []
  }
}

async function play(folder: string, proxy: Part, phases: readonly Phase[]): Promise<void> {
  const load = new Load({ to: proxy.fields.listen ?? '', perSecond: PER_SECOND, connections: 8 })
  const spans: { readonly name: string; readonly from: number; readonly to: number; readonly sent: string }[] = []
  await wait(3_000)
  for (const { name, run } of phases) {
    const from = performance.now()
    await run()
    const to = performance.now()
    const ended = load.ended(from, to)
    const times = ended.map((one) => (one.end?.at ?? 0) - one.startedAt).sort((a, b) => a - b)
    const p99 = times[Math.floor(times.length * 0.99)]?.toFixed(1)
    spans.push({ name, from, to, sent: `${ended.length} requests, ${load.failed(from, to).length} failed, p99 ${p99} ms` })
  }
  await wait(1_500)
  await load.stop()
  const processes = [['primary', proxy.pid] as const, ...childrenOf(proxy.pid).map((pid, at) => [`worker ${at}`, pid] as const)]
  for (const { name, from, to, sent } of spans) {
    say(`\n${name}: ${sent}`)
    for (const [role, pid] of processes) {
      const during = spansOf(folder, pid).filter(({ at }) => at >= performance.timeOrigin + from && at <= performance.timeOrigin + to)
      const worst = (read: (span: TurnSpan) => number): string => Math.max(0, ...during.map(read)).toFixed(1)
      const long = during.filter(({ cpu }) => cpu > GOAL_MS).length
      say(
        `  ${role.padEnd(10)} longest turn ${worst((s) => s.cpu).padStart(6)} ms of CPU time, ${worst((s) => s.clock).padStart(6)} ms on the clock; ${long} of ${during.length} spans of 50 ms above ${GOAL_MS}`,
      )
    }
  }
}

const folder = mkdtempSync(join(tmpdir(), 'millrace-turns-'))
const sim = await startSim('--listen', FREE, '--http-listen', FREE, '--slots', '64', '--queue-max', '1000')
try {
  const real = { id: 'real/sim', address: sim.listen, models: ['sim_llm'] }
  const file = join(folder, 'mesh.json')
  writeFileSync(file, JSON.stringify(staticSnapshot([real])))
  const byFile = await startProbed(folder, ['--static', file])
  await play(folder, byFile, filePhases(byFile, file, real))
  await byFile.stop()
  const mesh = await startMeshSource()
  const byMesh = await startProbed(folder, ['--control-plane', mesh.address, '--state-dir', join(folder, 'state')])
  while (mesh.hellos.length === 0) await wait(20)
  const realOne = meshEndpoint(real.id, real.address, { models: real.models })
  await mesh.push([realOne])
  await play(folder, byMesh, meshPhases(byMesh, mesh, realOne))
  say(`\nsaved ${await readMetric(`http://${byMesh.fields.metrics}/metrics`, 'millrace_state_saves_total')} times`)
  await byMesh.stop()
  mesh.stop()
} finally {
  await sim.stop()
  rmSync(folder, { recursive: true, force: true })
}
