/**
 * A whole mesh for one test: NATS, a control plane, simulated nodes with their agents and a proxy, each a process as an operator starts it, on loopback
 * and free ports. Every part can be killed; the control plane, NATS and model servers also come back where they were.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startVerb } from '../../cli/child.ts'
import { Load } from './load.ts'
import { startNats, type TestNats } from './nats.ts'
import { childrenOf, readMetric } from './proxy.ts'
import { type Part, spawnPart } from './spawn-part.ts'

export type FleetOptions = {
  readonly nodes?: number
  readonly slots?: number
  readonly prefillMs?: number
  readonly tokenMs?: number
  /** Where a node stands, by its place; the first proxy stands in z1, as do all nodes unless told. */
  readonly zone?: (at: number) => string
  /** More flags of each model server, by its place. */
  readonly server?: (at: number) => readonly string[]
  /** Kept by the caller; without it the store goes with the fleet. */
  readonly storeDir?: string
  /** More flags of the first proxy. */
  readonly proxy?: readonly string[]
  readonly bus?: FleetBus
}

/** NATS with keys and TLS. */
export type FleetBus = {
  /** Of nats-server. */
  readonly config: string
  readonly controlPlane: readonly string[]
  /** The flags with which a node's agent comes in. */
  readonly agent: (node: string) => readonly string[]
}

export type FleetProxy = {
  readonly listen: string
  readonly part: Part
  /** The sum over the rows of a metric whose labels hold all of `labels`; zero for rows that are not there yet. */
  metric(name: string, ...labels: readonly string[]): Promise<number>
  /** Process ids of its workers. */
  workers(): readonly number[]
}

const NVIDIA_SMI = fileURLToPath(new URL('../../sim/nvidia-smi/nvidia-smi', import.meta.url))
const FREE = '127.0.0.1:0'
const READY_DEADLINE_MS = 60_000
const QUIET = ['--log-level', 'warn']
/** A port that a killed process held may be refused for a moment. */
const SAME_PORT_TRIES = 20
const PROBES_PER_SECOND = 50
const OWN_ZONE = 'z1'

export class FleetNode {
  readonly name: string
  readonly endpoint: string
  readonly zone: string
  readonly #flags: readonly string[]
  #server: Part
  agent: Part | undefined

  static async start(name: string, zone: string, flags: readonly string[]): Promise<FleetNode> {
    return new FleetNode(name, zone, flags, await spawnPart('sim-server', ['--listen', FREE, '--http-listen', FREE, ...flags]))
  }

  private constructor(name: string, zone: string, flags: readonly string[], server: Part) {
    this.name = name
    this.zone = zone
    this.endpoint = `${name}/sim`
    this.#flags = flags
    this.#server = server
  }

  get server(): Part {
    return this.#server
  }

  async startAgent(nats: string, slots: number, more: readonly string[] = []): Promise<void> {
    const { listen = '', http = '' } = this.#server.fields
    const about = ['--server-name', 'sim', '--server-grpc', listen, '--server-http', http, '--server-metrics', `http://${http}/metrics`]
    const self = ['--node', this.name, '--zone', this.zone, '--nats', nats, '--metrics-listen', FREE, '--simulated', ...QUIET]
    const env = { MILLRACE_SIM_CAPTURE: 'h100', MILLRACE_SIM_GPU_SEED: this.name, MILLRACE_NODE_BIN: process.execPath }
    this.agent = await spawnPart('agent', [...self, ...about, '--nvidia-smi', NVIDIA_SMI, '--capacity', String(slots), ...more], { env })
  }

  /** On the ports that it had. */
  async restartServer(): Promise<void> {
    const { listen = '', http = '' } = this.#server.fields
    this.#server = await onSamePort(() => spawnPart('sim-server', ['--listen', listen, '--http-listen', http, ...this.#flags]))
  }

  /** Makes the queue look this deep; answers when the server had taken it in. */
  async setQueue(depth: number): Promise<number> {
    const answer = await fetch(`http://${this.#server.fields.http}/sim/queue`, { method: 'POST', body: JSON.stringify({ depth }) })
    if (!answer.ok) throw new Error(`/sim/queue answered ${answer.status}: ${await answer.text()}`)
    return performance.now()
  }

  async stop(): Promise<void> {
    await Promise.all([this.agent?.stop(), this.#server.stop()])
  }
}

export class Fleet {
  readonly nodes: FleetNode[] = []
  readonly #proxies: FleetProxy[] = []
  readonly #options: FleetOptions
  #nats: TestNats
  #controlPlane: Part | undefined

  static async start(options: FleetOptions = {}): Promise<Fleet> {
    const { storeDir, bus } = options
    const nats = { ...(storeDir === undefined ? {} : { storeDir }), ...(bus === undefined ? {} : { config: bus.config }) }
    const fleet = new Fleet(options, await startNats(nats))
    try {
      await fleet.#start()
      return fleet
    } catch (error) {
      await fleet.stop()
      throw error
    }
  }

  private constructor(options: FleetOptions, nats: TestNats) {
    this.#options = options
    this.#nats = nats
  }

  /** host:port of NATS. */
  get bus(): string {
    return this.#nats.url
  }

  get controlPlane(): Part {
    if (this.#controlPlane === undefined) throw new Error('the fleet has no control plane yet')
    return this.#controlPlane
  }

  get proxy(): FleetProxy {
    const [first] = this.#proxies
    if (first === undefined) throw new Error('the fleet has no proxy yet')
    return first
  }

  get endpoints(): readonly string[] {
    return this.nodes.map((node) => node.endpoint)
  }

  node(at: number): FleetNode {
    const node = this.nodes[at]
    if (node === undefined) throw new Error(`the fleet has no node ${at}`)
    return node
  }

  /** One more proxy, once every node may serve through it. */
  startProxy(...more: readonly string[]): Promise<FleetProxy> {
    return this.startProxyIn(OWN_ZONE, ...more)
  }

  async startProxyIn(zone: string, ...more: readonly string[]): Promise<FleetProxy> {
    const address = this.#controlPlane?.fields.listen ?? ''
    const argv = ['--listen', FREE, '--metrics-listen', FREE, '--control-plane', address, '--zone', zone, '--name-endpoints', ...QUIET]
    const part = await spawnPart('data-plane', [...argv, '--proxy-id', `proxy-${this.#proxies.length + 1}`, ...more])
    const proxy: FleetProxy = {
      listen: part.fields.listen ?? '',
      part,
      metric: (name, ...labels) => readMetric(`http://${part.fields.metrics}/metrics`, name, ...labels).catch(zeroForNoRow),
      workers: () => childrenOf(part.pid),
    }
    this.#proxies.push(proxy)
    await until('the proxy knows every node', async () => (await proxy.metric('millrace_endpoint_count')) === this.nodes.length)
    return proxy
  }

  /** `millrace admin …`, with its output. */
  async admin(...argv: readonly string[]): Promise<string> {
    const child = await startVerb('admin', 'admin', [...argv, '--to', this.#controlPlane?.fields.listen ?? ''])
    const code = await child.exited
    if (code !== 0) throw new Error(`admin ${argv.join(' ')} ended with ${code}: ${child.stderr.join('\n')}`)
    return child.stdout.join('\n')
  }

  /** kill -9 of NATS; its store stays. */
  killNats(): void {
    this.#nats.kill()
  }

  /** At its address, with the same store; resolves when it answers. */
  async reviveNats(): Promise<void> {
    const { storeDir, port } = this.#nats
    const { bus } = this.#options
    const revived = await startNats({ storeDir, port, ...(bus === undefined ? {} : { config: bus.config }) })
    const stop = this.#nats.stop
    // The first one removes a store that it made itself.
    this.#nats = { ...revived, stop: () => revived.stop().then(stop) }
  }

  /** kill -9 of both; the store stays. */
  async killControl(): Promise<void> {
    this.#controlPlane?.kill()
    this.#nats.kill()
    await this.#controlPlane?.exited
  }

  /**
   * Both again, at their addresses and with the same store; resolves when every proxy is back and the control plane knows every node, for which it
   * needs a full report of each.
   */
  async reviveControl(): Promise<void> {
    await this.reviveNats()
    await this.#startControlPlane(this.#controlPlane?.fields.listen ?? FREE)
    const metrics = `http://${this.#controlPlane?.fields.metrics}/metrics`
    await until('every node is heard', async () => (await readMetric(metrics, 'millrace_control_nodes')) === this.nodes.length)
    for (const proxy of this.#proxies) await until('a proxy is back', async () => (await proxy.metric('millrace_mesh_connected')) === 1)
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#proxies.map(({ part }) => part.stop()), ...this.nodes.map((node) => node.stop())])
    await this.#controlPlane?.stop()
    await this.#nats.stop()
  }

  async #start(): Promise<void> {
    const {
      nodes = 3,
      slots = 4,
      prefillMs = 5,
      tokenMs = 1,
      proxy = [],
      bus,
      zone = () => OWN_ZONE,
      server: more = () => [],
    } = this.#options
    const server = ['--slots', String(slots), '--prefill-ms', String(prefillMs), '--token-ms', String(tokenMs), ...QUIET]
    const names = Array.from({ length: nodes }, (_, at) => `sim-${at + 1}`)
    const started = Promise.all(
      names.map(async (name, at) =>
        this.nodes.push(await FleetNode.start(name, zone(at), [...server, '--seed', String(at + 1), ...more(at)])),
      ),
    )
    await Promise.all([started, this.#startControlPlane(FREE)])
    this.nodes.sort((a, b) => a.name.localeCompare(b.name))
    await Promise.all(this.nodes.map((node) => node.startAgent(this.#nats.url, slots, bus?.agent(node.name))))
    const first = await this.startProxy(...proxy)
    await this.#whenAllServe(first)
  }

  async #startControlPlane(listen: string): Promise<void> {
    const argv = [
      '--listen',
      listen,
      '--metrics-listen',
      FREE,
      '--nats',
      this.#nats.url,
      ...QUIET,
      ...(this.#options.bus?.controlPlane ?? []),
    ]
    this.#controlPlane = await onSamePort(() => spawnPart('control-plane', argv))
  }

  async #whenAllServe(proxy: FleetProxy): Promise<void> {
    const probes = new Load({ to: proxy.listen, perSecond: PROBES_PER_SECOND, connections: 1 })
    try {
      // A zone that is well sends nothing to others.
      const near = this.nodes.filter(({ zone }) => zone === OWN_ZONE).length
      await until('every node serves', () => probes.served().size === near)
    } finally {
      await probes.stop()
    }
  }
}

async function onSamePort(start: () => Promise<Part>): Promise<Part> {
  for (let attempt = 1; ; attempt++)
    try {
      return await start()
    } catch (error) {
      if (attempt === SAME_PORT_TRIES || !(error instanceof Error && error.message.includes('in use'))) throw error
      await wait(100)
    }
}

/** A page that does not come is no zero. */
function zeroForNoRow(error: Error): number {
  if (error.message.includes(' has no ')) return 0
  throw error
}

export async function until(what: string, look: () => boolean | Promise<boolean>, deadlineMs = READY_DEADLINE_MS): Promise<void> {
  for (const deadline = performance.now() + deadlineMs; performance.now() < deadline; await wait(20)) if (await look()) return
  throw new Error(`not within ${deadlineMs} ms: ${what}`)
}

/** For what is measured and told, never asserted to the millisecond. */
export const tell = (line: string): void => void process.stderr.write(`  measured: ${line}\n`)
