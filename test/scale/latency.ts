/**
 * How long it takes until every proxy knows that an endpoint FAILED: from the moment the agent's report goes into its socket to the moment the last
 * byte that tells of it arrived at each proxy, by one clock. The fleet goes on reporting meanwhile.
 */
import { once } from 'node:events'
import { createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { type Part, spawnPart } from '../tools/spawn-part.ts'
import { HealthWatch } from './health-watch.ts'
import { endpointsOf, WATCHED_MODEL, WATCHED_NODE } from './node-speech.ts'
import type { LatencyRow } from './records.ts'
import { type Load, Stage } from './stage.ts'

/** So that one failure is not told with the next. */
const BETWEEN_MS = 60
const PROXY_PATIENCE_MS = 30_000
const FREE = '127.0.0.1:0'

/** One node after the other fails; `failures` of them, told to each client. */
export async function failuresOneByOne(name: string, load: Load, failures: number, warmSeconds: number): Promise<LatencyRow> {
  const stage = await Stage.open(load)
  try {
    await wait(warmSeconds * 1_000)
    const times: number[] = []
    for (let turn = 0; turn < failures; turn++) {
      times.push(...(await fail(stage, (1 + turn * 7) % load.nodes)))
      await wait(BETWEEN_MS * (0.5 + Math.random()))
    }
    return describe(name, load, `${load.clients} mesh clients`, times)
  } finally {
    await stage.close()
  }
}

/** Every endpoint of the fleet at once; timed until a client knows all of them. */
export async function wholeFleetAtOnce(name: string, load: Load, warmSeconds: number): Promise<LatencyRow> {
  const stage = await Stage.open(load)
  try {
    await wait(warmSeconds * 1_000)
    const seen = await stage.watch('all')
    const told = Promise.all(stage.nodes.map(({ helper }) => helper.next('told')))
    for (const { helper } of stage.nodes) helper.send({ kind: 'fail-all' })
    const began = Math.min(...(await told).map(({ at }) => at))
    return describe(
      name,
      load,
      `${load.clients} mesh clients`,
      (await seen()).map((at) => at - began),
    )
  } finally {
    await stage.close()
  }
}

/** Real proxies, each a primary and a worker: timed when a watcher of the proxy's health is told that the model of the node's server has nobody left. */
export async function failuresAtProxies(name: string, load: Load, proxies: number, failures: number): Promise<LatencyRow> {
  // A proxy takes a server to which it cannot connect for broken, whatever its agent says.
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const stage = await Stage.open(load, {}, (server.address() as AddressInfo).port)
  const parts: Part[] = []
  try {
    const to = ['--control-plane', stage.controlPlane.fields.listen ?? '', '--log-level', 'warn', '--workers', '1']
    for (let at = 0; at < proxies; at++)
      parts.push(await spawnPart('data-plane', ['--listen', FREE, '--metrics-listen', FREE, '--proxy-id', `real-${at}`, ...to]))
    const watches = parts.map((part) => new HealthWatch(part.fields.listen ?? '', WATCHED_MODEL))
    const all = (serving: boolean): Promise<readonly number[]> =>
      Promise.all(watches.map((watch, at) => soon(`proxy real-${at} says ${serving ? '' : 'NOT_'}SERVING`, watch.becomes(serving))))
    const times: number[] = []
    for (let turn = 0; turn < failures; turn++) {
      await all(true)
      const [at, heard] = await Promise.all([stage.say(WATCHED_NODE, 'fail'), all(false)])
      times.push(...heard.map((one) => one - at))
      await stage.say(WATCHED_NODE, 'recover')
    }
    for (const watch of watches) watch.close()
    return describe(name, load, `${proxies} proxies as processes`, times)
  } finally {
    await Promise.all(parts.map((part) => part.stop()))
    await stage.close()
    server.close()
  }
}

/** A proxy that does not get to it ends the measurement, with its name: on a machine that is too small it would never end. */
function soon<Value>(what: string, promise: Promise<Value>): Promise<Value> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`${what}: not within ${PROXY_PATIENCE_MS / 1_000} s`)), PROXY_PATIENCE_MS)
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

async function fail(stage: Stage, node: number): Promise<readonly number[]> {
  const seen = await stage.watch(endpointsOf(node))
  const at = await stage.say(node, 'fail')
  const times = (await seen()).map((heard) => heard - at)
  await stage.say(node, 'recover')
  return times
}

const describe = (name: string, load: Load, listeners: string, times: readonly number[]): LatencyRow => ({
  name,
  load,
  listeners,
  ...spread(times),
})

export function spread(times: readonly number[]): Pick<LatencyRow, 'samples' | 'p50Ms' | 'p99Ms' | 'maxMs'> {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
  return { samples: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) }
}
