/** NATS, one control plane and the generators around it, each a process; and what kernel and metrics page say of the control plane. */
import { lastLines } from '../../cli/child.ts'
import { cpuSplit, readUsage } from '../bench/proc.ts'
import { until } from '../tools/fleet.ts'
import { startNats, type TestNats } from '../tools/nats.ts'
import { type Part, spawnPart } from '../tools/spawn-part.ts'
import type { ClientsCommand, ClientsNotice, ClientsPlan } from './clients.ts'
import { Helper } from './helper.ts'
import type { PeerCounts } from './mesh-peer.ts'
import type { NodesCommand, NodesNotice, NodesPlan } from './nodes.ts'

export type Load = {
  readonly nodes: number
  /** Nodes whose load moves with each report. */
  readonly moving: number
  readonly flapsPerSecond: number
  readonly clients: number
  /** Endpoints in a proxy's report of outcomes, one a second. */
  readonly rows: number
}

/** Counters of one moment; all but the last three only grow. */
export type Sample = {
  readonly atMs: number
  readonly userSeconds: number
  readonly kernelSeconds: number
  readonly reports: number
  readonly drops: number
  readonly ticks: number
  readonly tickSeconds: number
  readonly messages: number
  readonly bytes: number
  readonly acks: number
  readonly proxyReports: number
  readonly rssMib: number
  readonly heapMib: number
  /** Of the event loop, since the sample before. */
  readonly delayP99Ms: number
  readonly delayMaxMs: number
}

const FREE = '127.0.0.1:0'
/** A generator's own work is bounded: more than this in one process and its timers lie. */
const NODES_PER_PROCESS = 10_000
const CLIENTS_PER_PROCESS = 500
/** A thousand clients take in gigabytes when they first come to ten thousand nodes. */
const PATIENCE_MS = 180_000

type Nodes = Helper<NodesCommand, NodesNotice>
type Clients = Helper<ClientsCommand, ClientsNotice>

export class Stage {
  readonly load: Load
  readonly nats: TestNats
  readonly controlPlane: Part
  readonly nodes: readonly { readonly from: number; readonly to: number; readonly helper: Nodes }[]
  readonly clients: Clients[] = []

  /** `watchedPort`: where the watched node's server listens, for proxies that connect to it. */
  static async open(load: Load, env: Readonly<Record<string, string>> = {}, watchedPort?: number): Promise<Stage> {
    const nats = await startNats()
    const argv = ['--listen', FREE, '--metrics-listen', FREE, '--nats', nats.url, '--log-level', 'warn']
    const controlPlane = await spawnPart('control-plane', argv, { env })
    const nodes = slices(load.nodes, NODES_PER_PROCESS).map(({ from, to }) => {
      const moving = Math.min(Math.max(load.moving - from, 0), to - from)
      const told = { nats: nats.url, from, to, moving, flapsPerSecond: from === 0 ? load.flapsPerSecond : 0 }
      const plan: NodesPlan = watchedPort === undefined ? told : { ...told, watchedPort }
      return { from, to, helper: new Helper<NodesCommand, NodesNotice>('./nodes.ts', plan) }
    })
    const stage = new Stage(load, nats, controlPlane, nodes)
    try {
      await Promise.all(nodes.map(({ helper }) => helper.next('speaking')))
      await until(
        'the control plane knows every node',
        async () => (await stage.page()).get('millrace_control_nodes') === load.nodes,
        PATIENCE_MS,
      )
      await stage.#openClients()
      return stage
    } catch (error) {
      await stage.close()
      throw new Error(`${(error as Error).message}; the control plane said last:\n${lastLines(controlPlane.stderr)}`, { cause: error })
    }
  }

  private constructor(load: Load, nats: TestNats, controlPlane: Part, nodes: Stage['nodes']) {
    this.load = load
    this.nats = nats
    this.controlPlane = controlPlane
    this.nodes = nodes
  }

  /** They come to a fleet that is known. */
  async #openClients(): Promise<void> {
    const { nodes, clients, rows } = this.load
    const address = this.controlPlane.fields.listen ?? ''
    for (const { from, to } of slices(clients, CLIENTS_PER_PROCESS))
      this.clients.push(new Helper<ClientsCommand, ClientsNotice>('./clients.ts', { address, from, to, nodes, rows } satisfies ClientsPlan))
    const timeout = new Promise<never>((_, reject) =>
      setTimeout(() => reject(new Error(`not every mesh client holds the fleet after ${PATIENCE_MS} ms`)), PATIENCE_MS).unref(),
    )
    await Promise.race([Promise.all(this.clients.map((one) => one.next('whole'))), timeout])
    // Before that a control plane takes itself for possibly deaf, and repeats what it told.
    await until(
      'every client is told that loads hold',
      async () => clients === 0 || ((await this.page()).get('millrace_control_load_holds_total') ?? 0) >= clients,
      PATIENCE_MS,
    )
  }

  /** Resolves when every client watches; what it resolves with tells, once they all have, when each heard that all these endpoints are FAILED. */
  async watch(ids: readonly string[] | 'all'): Promise<() => Promise<readonly number[]>> {
    const seen = Promise.all(this.clients.map((one) => one.next('seen')))
    const watching = Promise.all(this.clients.map((one) => one.next('watching')))
    for (const one of this.clients) one.send(ids === 'all' ? { kind: 'watch-all' } : { kind: 'watch', ids })
    await watching
    return async () => (await seen).flatMap(({ at }) => at)
  }

  /** When the report of it went into the socket. */
  async say(node: number, kind: 'fail' | 'recover'): Promise<number> {
    const { helper } = this.nodes.find(({ from, to }) => node >= from && node < to) ?? {}
    if (helper === undefined) throw new Error(`there is no node ${node}`)
    const told = helper.next('told')
    helper.send({ kind, at: node })
    return (await told).at
  }

  /** Sums over the labels of each metric of the control plane's page. */
  async page(): Promise<ReadonlyMap<string, number>> {
    const text = await (await fetch(`http://${this.controlPlane.fields.metrics}/metrics`)).text()
    const sums = new Map<string, number>()
    for (const line of text.split('\n')) {
      const found = /^([a-z_0-9]+)(?:\{[^}]*\})? (\S+)$/.exec(line)
      if (found?.[1] !== undefined) sums.set(found[1], (sums.get(found[1]) ?? 0) + Number(found[2]))
    }
    return sums
  }

  /** What all clients together have received and said. */
  async tally(): Promise<PeerCounts> {
    const told = this.clients.map((one) => {
      const tally = one.next('tally')
      one.send({ kind: 'tally' })
      return tally
    })
    const sums: PeerCounts = { messages: 0, bytes: 0, acks: 0, reports: 0 }
    for (const one of await Promise.all(told)) for (const name of ['messages', 'bytes', 'acks', 'reports'] as const) sums[name] += one[name]
    return sums
  }

  async sample(): Promise<Sample> {
    const tally = this.tally()
    const page = await this.page()
    const { pid } = this.controlPlane
    const atMs = performance.now()
    const cpu = cpuSplit(pid)
    const { rssKib } = readUsage(pid)
    const counts = await tally
    const of = (name: string): number => page.get(name) ?? 0
    return {
      atMs,
      ...cpu,
      reports: of('millrace_control_reports_total'),
      drops: of('millrace_control_report_drops_total'),
      ticks: of('millrace_control_tick_seconds_count'),
      tickSeconds: of('millrace_control_tick_seconds_sum') + of('millrace_control_hand_over_seconds_total'),
      messages: counts.messages,
      bytes: counts.bytes,
      acks: counts.acks,
      proxyReports: counts.reports,
      rssMib: rssKib / 1024,
      heapMib: of('nodejs_heap_size_used_bytes') / 2 ** 20,
      delayP99Ms: of('nodejs_eventloop_lag_p99_seconds') * 1000,
      delayMaxMs: of('nodejs_eventloop_lag_max_seconds') * 1000,
    }
  }

  async close(): Promise<void> {
    for (const { helper } of this.nodes) helper.stop()
    for (const one of this.clients) one.stop()
    await this.controlPlane.stop()
    await this.nats.stop()
  }
}

function slices(count: number, max: number): readonly { readonly from: number; readonly to: number }[] {
  const parts = Math.ceil(count / max)
  return Array.from({ length: parts }, (_, part) => ({
    from: Math.floor((part * count) / parts),
    to: Math.floor(((part + 1) * count) / parts),
  }))
}
