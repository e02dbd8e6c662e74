/**
 * NATS dies and comes back under a fleet, and ends the connection of a control plane that stood still: real servers, real links. Nobody is called FAILED or
 * becomes the last resort because of it, no request notices, and nobody comes back in one breath with the others.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { credentials } from '@grpc/grpc-js'
import { connect } from 'nats'
import { expect, onTestFinished, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { rollCall, telemetrySubject } from '../../core/subjects.ts'
import { AdminServiceClient, type Node, type WatchNodesResponse } from '../../proto/gen/millrace/admin/v1/admin.ts'
import { EndpointState, endpointStateToJSON, freshnessToJSON } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import { Fleet, tell } from '../tools/fleet.ts'
import { Load } from '../tools/load.ts'
import { startNats } from '../tools/nats.ts'
import { readMetric } from '../tools/proxy.ts'
import { Reporter } from '../tools/reporters.ts'
import { type Part, spawnPart } from '../tools/spawn-part.ts'

const REPORTERS = 30
const soon = { timeout: 30_000, interval: 20 }

/** Every state and freshness that any node was shown with, from now on. */
class Shown {
  readonly nodes = new Map<string, Node>()
  readonly #seen = new Set<string>()

  constructor(controlPlane: Part) {
    const client = new AdminServiceClient(controlPlane.fields.listen ?? '', credentials.createInsecure())
    const watch = client.watchNodes({})
    watch.on('data', ({ changed }: WatchNodesResponse) => {
      for (const node of changed) this.#note(node)
    })
    watch.on('error', () => {})
    onTestFinished(() => {
      watch.cancel()
      client.close()
    })
  }

  #note(node: Node): void {
    this.nodes.set(node.nodeId, node)
    this.#seen.add(freshnessToJSON(node.freshness))
    for (const { endpoint } of node.endpoints)
      this.#seen.add(endpointStateToJSON(endpoint?.state ?? EndpointState.ENDPOINT_STATE_UNSPECIFIED))
  }

  forget(): void {
    this.#seen.clear()
  }

  get seen(): readonly string[] {
    return [...this.#seen].sort()
  }
}

const counted = (part: Part, name: string, ...labels: readonly string[]): Promise<number> =>
  readMetric(`http://${part.fields.metrics}/metrics`, `millrace_control_${name}`, ...labels)

/** Since `from`: the first, the middle and the last. */
function spreadOf(moments: readonly number[], from: number): string {
  const sorted = moments.map((at) => Math.round(at - from)).sort((a, b) => a - b)
  return `${sorted[0]} · ${sorted[sorted.length >> 1]} · ${sorted.at(-1)} ms`
}

test.each([
  ['at once', 0],
  ['after seconds', 4_000],
])('NATS is killed under a fleet and comes back %s: nobody fails, no request notices, and they return one by one', async (_, awayMs) => {
  const fleet = await Fleet.start({ nodes: 2 })
  onTestFinished(() => fleet.stop())
  const address = fleet.node(0).server.fields.listen ?? ''
  const reporters = await Promise.all(Array.from({ length: REPORTERS }, (_, at) => Reporter.start(`idle-${at + 1}`, fleet.bus, address)))
  onTestFinished(() => Promise.all(reporters.map((one) => one.close())).then(() => undefined))
  const shown = new Shown(fleet.controlPlane)
  await expect.poll(() => shown.nodes.size, soon).toBe(REPORTERS + 2)
  await expect.poll(() => [...shown.nodes.values()].every(({ endpoints }) => endpoints.length === 1), soon).toBe(true)
  const load = new Load({ to: fleet.proxy.listen, perSecond: 100, connections: 2 })
  onTestFinished(() => load.stop())

  shown.forget()
  fleet.killNats()
  const killedAt = performance.now()
  await expect.poll(() => reporters.filter(({ up }) => up).length, soon).toBe(0)
  await expect.poll(() => performance.now() - killedAt >= awayMs, soon).toBe(true)
  await fleet.reviveNats()
  const backAt = performance.now()
  await expect.poll(() => reporters.filter(({ up }) => up).length, soon).toBe(REPORTERS)
  await expect.poll(() => counted(fleet.controlPlane, 'link_up'), soon).toBe(1)
  // Until silence would have counted: the grace of the link and the missed reports behind it.
  const judged = limits.linkReturnGrace + limits.lastResortAfterMissed * limits.reportPeriod + limits.reportPeriod
  await expect.poll(() => performance.now() - backAt > judged, soon).toBe(true)

  const returns = reporters.map(({ returns }) => returns.at(-1) ?? 0)
  const fulls = reporters.map(({ fulls, returns }) => fulls.find((at) => at >= (returns.at(-1) ?? 0)) ?? 0)
  tell(
    `${REPORTERS} agents were back (first · middle · last) ${spreadOf(returns, backAt)} after NATS, with full reports ${spreadOf(fulls, backAt)}`,
  )
  expect(shown.seen.filter((one) => /FAILED|PROBATION|LAST_RESORT/.test(one))).toEqual([])
  expect(load.failed()).toEqual([])
  expect(load.served().size).toBe(2)
})

// The server's patience is longer than what counts as standing still, and the flood small enough that patience ends first.
test('a control plane that stood still until NATS ended its connection comes back, says why, and calls the roll', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-slow-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const config = join(folder, 'nats.conf')
  writeFileSync(config, `jetstream { store_dir: ${JSON.stringify(folder)} }\nwrite_deadline: "2s"\n`)
  const nats = await startNats({ config })
  onTestFinished(() => nats.stop())
  const part = await spawnPart('control-plane', ['--listen', '127.0.0.1:0', '--metrics-listen', '127.0.0.1:0', '--nats', nats.url])
  onTestFinished(() => part.kill())
  const bus = await connect({ servers: nats.url, reconnect: false })
  onTestFinished(() => bus.close())
  let calls = 0
  bus.subscribe(rollCall('default'), { callback: () => void calls++ })
  await bus.flush()
  await expect.poll(() => counted(part, 'nats_up').catch(() => 0), soon).toBe(1)
  await expect.poll(() => counted(part, 'intents_known'), soon).toBe(1)
  const reporter = await Reporter.start('a', nats.url, '127.0.0.1:1')
  onTestFinished(() => reporter.close())
  await expect.poll(() => counted(part, 'nodes'), soon).toBe(1)
  const before = calls

  process.kill(part.pid, 'SIGSTOP')
  try {
    const ended = nats.waitForLine(/Slow Consumer Detected/, soon.timeout)
    const flood = setInterval(() => {
      bus.publish(telemetrySubject('default', 'flood'), new Uint8Array(limits.reportBytesMax))
    }, 20)
    await ended.finally(() => clearInterval(flood))
  } finally {
    process.kill(part.pid, 'SIGCONT')
  }
  await expect.poll(() => counted(part, 'nats_losses_total', 'loss="fell-behind"'), soon).toBe(1)
  await expect.poll(() => counted(part, 'nats_up'), soon).toBe(1)
  await expect.poll(() => calls, soon).toBeGreaterThan(before)
  const reports = await counted(part, 'reports_total')
  await expect.poll(() => counted(part, 'reports_total'), soon).toBeGreaterThan(reports)
})
