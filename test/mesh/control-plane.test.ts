/** The control plane as a process on a real nats-server: reports are published by hand, and a bare mesh client stands for a proxy. */
import { createServer } from 'node:net'
import { credentials, loadPackageDefinition, status } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { connect, type NatsConnection } from 'nats'
import { afterEach, expect, test } from 'vitest'
import { telemetrySubject } from '../../core/subjects.ts'
import {
  AdminServiceClient,
  NodeIntent,
  type StateChange,
  type WatchChangesResponse,
  type WatchWeightsResponse,
  type Weight,
} from '../../proto/gen/millrace/admin/v1/admin.ts'
import {
  type ConnectResponse,
  type Endpoint,
  EndpointState,
  type EndpointsDelta,
  Freshness,
  MeshServiceClient,
} from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import { EndpointHealth, EndpointReport, GpuTelemetry, NodeReport, Protocol } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { freePorts } from '../tools/free-ports.ts'
import { startNats, type TestNats } from '../tools/nats.ts'
import { readMetric } from '../tools/proxy.ts'
import { type Part, spawnPart } from '../tools/spawn-part.ts'

const { ENDPOINT_STATE_DRAINING: DRAINING, ENDPOINT_STATE_FAILED: FAILED, ENDPOINT_STATE_READY: READY } = EndpointState
const DEADLINE_MS = 60_000
const HEARTBEAT_MS = 200

const opened: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

async function nats(options: Parameters<typeof startNats>[0] = {}): Promise<TestNats> {
  const server = await startNats(options)
  opened.push(() => server.stop())
  return server
}

async function controlPlane(natsAddress: string, ...more: readonly string[]): Promise<Part> {
  const part = await spawnPart('control-plane', [
    '--listen',
    '127.0.0.1:0',
    '--metrics-listen',
    '127.0.0.1:0',
    '--nats',
    natsAddress,
    ...more,
  ])
  opened.push(() => part.stop().then(() => undefined))
  return part
}

const counted = (part: Part, name: string, ...labels: readonly string[]): Promise<number> =>
  readMetric(`http://${part.fields.metrics}/metrics`, `millrace_control_${name}`, ...labels)

async function until<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (const deadline = performance.now() + DEADLINE_MS; performance.now() < deadline; ) {
    const seen = await look()
    if (seen !== undefined) return seen
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`not within ${DEADLINE_MS} ms: ${what}`)
}

/** Says what agents say; a node that is silenced says nothing more. */
class Agents {
  readonly #bus: NatsConnection
  readonly #timer: NodeJS.Timeout
  readonly #nodes = new Map<string, Partial<EndpointReport>>()
  readonly #silent = new Set<string>()
  #sequence = 0n

  static async on(server: TestNats, ...nodes: readonly string[]): Promise<Agents> {
    const bus = await connect({ servers: server.url, maxReconnectAttempts: -1, reconnectTimeWait: 100 })
    const agents = new Agents(bus, nodes)
    opened.push(() => agents.#close())
    return agents
  }

  private constructor(bus: NatsConnection, nodes: readonly string[]) {
    this.#bus = bus
    for (const node of nodes) this.#nodes.set(node, {})
    this.#timer = setInterval(() => this.#sayAll(), HEARTBEAT_MS)
  }

  say(node: string, fields: Partial<EndpointReport> = {}): void {
    this.#nodes.set(node, fields)
    const endpoint = {
      ...EndpointReport.fromPartial({
        id: `${node}/triton`,
        address: '127.0.0.1:8001',
        protocol: Protocol.PROTOCOL_KSERVE_GRPC,
        models: ['*'],
      }),
      health: EndpointHealth.ENDPOINT_HEALTH_READY,
      ...fields,
    }
    const report = NodeReport.fromPartial({
      nodeId: node,
      bootId: 'boot',
      sequence: ++this.#sequence,
      intervalMs: HEARTBEAT_MS,
      full: true,
      zone: 'z1',
      gpuTelemetry: GpuTelemetry.GPU_TELEMETRY_NO_GPU,
    })
    this.publish(node, NodeReport.encode({ ...report, endpoints: [endpoint] }).finish())
  }

  publish(node: string, bytes: Uint8Array): void {
    this.#bus.publish(telemetrySubject('default', node), bytes)
  }

  silence(...nodes: readonly string[]): void {
    for (const node of nodes) this.#silent.add(node)
  }

  #sayAll(): void {
    for (const [node, fields] of this.#nodes) if (!this.#silent.has(node)) this.say(node, fields)
  }

  async #close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#bus.close()
  }
}

/** Holds what a proxy would hold. */
class MeshClient {
  readonly deltas: EndpointsDelta[] = []
  readonly endpoints = new Map<string, Endpoint>()
  readonly versions: Record<string, string> = {}
  readonly #client: MeshServiceClient
  readonly #stream: ReturnType<MeshServiceClient['connect']>
  /** Set to refuse what comes next. */
  refuseWith: string | undefined
  ended: number | undefined

  constructor(part: Part, held: Readonly<Record<string, string>> = {}, proxyId = 'bare') {
    this.#client = new MeshServiceClient(part.fields.listen ?? '', credentials.createInsecure())
    this.#stream = this.#client.connect()
    this.#stream.on('data', (response: ConnectResponse) => this.#take(response))
    this.#stream.on('error', () => {})
    this.#stream.on('status', ({ code }) => {
      this.ended = code
    })
    this.#stream.write({
      message: { $case: 'hello', value: { proxyId, zone: 'z1', proxyVersion: 'test', endpointVersions: { ...held } } },
    })
    opened.push(() => this.close())
  }

  state(id: string): EndpointState | undefined {
    return this.endpoints.get(id)?.state
  }

  holds(id: string, state: EndpointState): Promise<true> {
    return until(`${id} in state ${state}`, () => this.state(id) === state || undefined)
  }

  /** As a proxy that saw so many attempts fail, and holds so many. */
  sawFailures(endpointId: string, failures: number, inFlight = 0): void {
    const row = { endpointId, inFlight, successes: 0n, backpressures: 0n, failures: BigInt(failures), ejected: false }
    this.#stream.write({ message: { $case: 'report', value: { endpoints: [row] } } })
  }

  close(): void {
    this.#stream.cancel()
    this.#client.close()
  }

  #take({ message }: ConnectResponse): void {
    if (message?.$case !== 'endpoints') return
    const delta = message.value
    this.deltas.push(delta)
    const reason = this.refuseWith
    this.refuseWith = undefined
    if (reason !== undefined) {
      this.#stream.write({ message: { $case: 'nack', value: { nonce: delta.nonce, reason } } })
      return
    }
    for (const { endpoint, version } of delta.upserts) {
      if (endpoint === undefined) continue
      this.endpoints.set(endpoint.id, endpoint)
      this.versions[endpoint.id] = version
    }
    for (const id of delta.removed) {
      this.endpoints.delete(id)
      delete this.versions[id]
    }
    this.#stream.write({ message: { $case: 'ack', value: { nonce: delta.nonce } } })
  }
}

function admin(part: Part): AdminServiceClient {
  const client = new AdminServiceClient(part.fields.listen ?? '', credentials.createInsecure())
  opened.push(() => client.close())
  return client
}

const drain = (client: AdminServiceClient, nodeId: string, reason = ''): Promise<NodeIntent | undefined> =>
  new Promise((resolve, reject) =>
    client.drainNode({ nodeId, reason }, (error, answer) => (error === null ? resolve(answer.node?.intent) : reject(error))),
  )
const undrain = (client: AdminServiceClient, nodeId: string): Promise<NodeIntent | undefined> =>
  new Promise((resolve, reject) =>
    client.undrainNode({ nodeId }, (error, answer) => (error === null ? resolve(answer.node?.intent) : reject(error))),
  )

test('a proxy gets the whole fleet first, then what changes, and by its versions only what it lacks', async () => {
  const bus = await nats()
  const part = await controlPlane(bus.url)
  const agents = await Agents.on(bus, 'a', 'b', 'c')
  await until('three nodes', async () => ((await counted(part, 'nodes')) === 3 ? true : undefined))

  const first = new MeshClient(part)
  await until('a first delta', () => first.deltas[0])
  expect(first.deltas[0]?.upserts.map(({ endpoint }) => [endpoint?.id, endpoint?.state, endpoint?.weight, endpoint?.zone]).sort()).toEqual(
    ['a', 'b', 'c'].map((node) => [`${node}/triton`, READY, 100, 'z1']),
  )

  agents.say('b', { health: EndpointHealth.ENDPOINT_HEALTH_FAILED, healthReason: 'connection refused' })
  await first.holds('b/triton', FAILED)
  expect(first.endpoints.get('b/triton')?.stateReason).toBe('connection refused')
  expect(first.deltas.findLast(({ nonce }) => nonce !== '')?.upserts.length).toBe(1)

  const held = { ...first.versions, 'old/triton': 'no longer there' }
  first.close()
  agents.say('c', { models: ['other'] })
  await until('the change of c', async () => {
    const again = new MeshClient(part, held)
    const delta = await until('a first delta', () => again.deltas[0])
    again.close()
    const ids = delta.upserts.map(({ endpoint }) => endpoint?.id)
    expect(ids.filter((id) => id !== 'c/triton')).toEqual([])
    return ids.length === 1 || undefined
  })

  // What this control plane never heard of goes once the whole fleet has had time to speak.
  const patient = new MeshClient(part, held)
  await until('the removal of what is gone', () => patient.deltas.some(({ removed }) => removed.includes('old/triton')) || undefined)
})

test('loads come by themselves, with their age', async () => {
  const bus = await nats()
  const part = await controlPlane(bus.url)
  const agents = await Agents.on(bus)
  const proxy = new MeshClient(part)
  agents.say('a', { load: { queueDepth: 2 } })
  await proxy.holds('a/triton', READY)
  agents.say('a', { load: { queueDepth: 40 } })
  const update = await until('the load', () => proxy.deltas.flatMap(({ loads }) => loads).find(({ load }) => load?.queueDepth === 40))
  expect(update.endpointId).toBe('a/triton')
  expect(update.ageMs).toBeLessThan(5_000)
})

test('a refused delta is counted, the stream lives, and what was refused comes with the next change', async () => {
  const bus = await nats()
  const part = await controlPlane(bus.url)
  const agents = await Agents.on(bus, 'a', 'b')
  const proxy = new MeshClient(part)
  await proxy.holds('a/triton', READY)
  await proxy.holds('b/triton', READY)
  proxy.refuseWith = 'no room'
  agents.say('a', { models: ['one'] })
  await until('the refusal', async () => ((await counted(part, 'nacks_total')) === 1 ? true : undefined))
  expect(proxy.endpoints.get('a/triton')?.models).toEqual(['*'])
  agents.say('b', { models: ['two'] })
  await until('both changes', () => [...proxy.endpoints.values()].every(({ models }) => models[0] !== '*') || undefined)
})

test('a drain is stored before it is acknowledged: it survives kill -9 of the control plane and of NATS, until undrained', async () => {
  const bus = await nats()
  const part = await controlPlane(bus.url)
  await Agents.on(bus, 'a', 'b')
  const proxy = new MeshClient(part)
  await proxy.holds('a/triton', READY)
  expect(await drain(admin(part), 'a', 'new fans')).toBe(NodeIntent.NODE_INTENT_DRAIN)
  await proxy.holds('a/triton', DRAINING)
  expect(proxy.endpoints.get('a/triton')).toMatchObject({ weight: 0, stateReason: 'drained: new fans' })

  part.kill()
  bus.kill()
  await part.exited
  const busAgain = await nats({ storeDir: bus.storeDir, port: bus.port })
  const partAgain = await controlPlane(busAgain.url)
  const proxyAgain = new MeshClient(partAgain, proxy.versions)
  const client = admin(partAgain)
  await until('both nodes', async () => ((await counted(partAgain, 'nodes')) === 2 ? true : undefined))
  const weights = new Map<string, Weight>()
  const watch = client.watchWeights({})
  watch.on('data', ({ changed }: WatchWeightsResponse) => {
    for (const weight of changed) weights.set(weight.endpointId, weight)
  })
  watch.on('error', () => {})
  await until('weights', () => (weights.size === 2 ? true : undefined))
  expect(weights.get('a/triton')).toMatchObject({ state: DRAINING, weight: 0, factors: { capacity: 100, state: 0 } })
  expect(proxyAgain.deltas.flatMap(({ upserts }) => upserts.map(({ endpoint }) => endpoint?.state))).not.toContain(READY)

  expect(await undrain(client, 'a')).toBe(NodeIntent.NODE_INTENT_SERVE)
  await proxyAgain.holds('a/triton', READY)
  await until('the weight', () => (weights.get('a/triton')?.weight === 100 ? true : undefined))
  watch.cancel()
})

test('a control plane that lives through a restart of NATS keeps a drain and takes new ones', async () => {
  const bus = await nats()
  const part = await controlPlane(bus.url)
  await Agents.on(bus, 'a', 'b')
  const proxy = new MeshClient(part)
  const client = admin(part)
  await proxy.holds('b/triton', READY)
  await drain(client, 'a')
  await proxy.holds('a/triton', DRAINING)

  bus.kill()
  await until('the loss', async () => ((await counted(part, 'link_up')) === 0 ? true : undefined))
  await expect(drain(client, 'b')).rejects.toMatchObject({ code: status.UNAVAILABLE, details: expect.stringContaining('-js') })
  expect([proxy.state('a/triton'), proxy.state('b/triton')]).toEqual([DRAINING, READY])

  await nats({ storeDir: bus.storeDir, port: bus.port })
  await until('the drain of b', async () => (await drain(client, 'b').catch(() => undefined)) ?? undefined)
  await proxy.holds('b/triton', DRAINING)
  expect(proxy.state('a/triton')).toBe(DRAINING)
})

test('a silent node becomes the last resort, never FAILED; bad reports are counted and disturb nobody', async () => {
  const bus = await nats()
  const part = await controlPlane(bus.url)
  const agents = await Agents.on(bus, 'a', 'b', 'c')
  const proxy = new MeshClient(part)
  await proxy.holds('a/triton', READY)
  agents.publish('c', new Uint8Array([0xff, 0x01]))
  agents.publish(
    'x',
    NodeReport.encode(NodeReport.fromPartial({ nodeId: 'a', bootId: 'z', sequence: 1n, intervalMs: 200, full: true })).finish(),
  )
  agents.silence('a')
  await until('the last resort', () => (proxy.endpoints.get('a/triton')?.freshness === Freshness.FRESHNESS_LAST_RESORT ? true : undefined))
  expect([...proxy.endpoints.values()].map(({ state }) => state)).toEqual([READY, READY, READY])
  expect(proxy.endpoints.get('b/triton')?.freshness).toBe(Freshness.FRESHNESS_FRESH)
  expect(await counted(part, 'report_drops_total', 'reason="not-a-report"')).toBe(1)
  expect(await counted(part, 'report_drops_total', 'reason="other-node"')).toBe(1)
  const seen = new Set(proxy.deltas.flatMap(({ upserts }) => upserts.map(({ endpoint }) => endpoint?.state)))
  expect(seen).not.toContain(FAILED)
})

test('without NATS it serves, says what is missing, and finds the bus when it comes', async () => {
  const [port = 0] = await freePorts(1)
  const part = await controlPlane(`127.0.0.1:${port}`)
  const proxy = new MeshClient(part)
  expect(await part.waitForLine(/nats-server running/, DEADLINE_MS)).toContain(`127.0.0.1:${port}`)
  await expect(drain(admin(part), 'a')).rejects.toMatchObject({ code: status.NOT_FOUND })
  expect((await fetch(`http://${part.fields.metrics}/readyz`)).status).toBe(503)
  const bus = await nats({ port })
  await Agents.on(bus, 'a')
  await proxy.holds('a/triton', READY)
  expect((await fetch(`http://${part.fields.metrics}/readyz`)).status).toBe(200)
  await expect(drain(admin(part), 'typo')).rejects.toMatchObject({ code: status.NOT_FOUND, details: 'no node "typo"; there are a' })
})

type Asked = {
  on(event: 'data', listener: (answer: Record<string, unknown>) => void): void
  on(event: 'error', listener: (error: Error) => void): void
  write(message: object): void
  end(): void
}

/** One call of a service that is only known by a .proto file, as the tools of operators make it. */
function ask(
  part: Part,
  file: string,
  folder: string,
  service: readonly string[],
  method: string,
  message: object,
): Promise<Record<string, unknown>> {
  const definition = loadSync(file, { includeDirs: [folder], keepCase: true, enums: String, defaults: true, oneofs: true })
  let found: unknown = loadPackageDefinition(definition)
  for (const name of service) found = (found as Record<string, unknown>)[name]
  type Caller = {
    [method: string]: (message?: object, answer?: (error: Error | null, value: Record<string, unknown>) => void) => Asked
    close: () => never
  }
  const client = new (found as new (address: string, credentials: unknown) => Caller)(
    part.fields.listen ?? '',
    credentials.createInsecure(),
  )
  opened.push(() => client.close())
  return new Promise((resolve, reject) => {
    if (method === 'Check') return void client.Check?.(message, (error, value) => (error === null ? resolve(value) : reject(error)))
    const stream = client[method]?.()
    stream?.on('data', resolve)
    stream?.on('error', reject)
    stream?.write(message)
    stream?.end()
  })
}

test('an endpoint that proxies see failing is tried by a connection: refused it fails, open again it proves itself; watchers hear why', async () => {
  const server = await nats()
  const part = await controlPlane(server.url)
  const agents = await Agents.on(server, 'a', 'b', 'c')
  const [port = 0] = await freePorts(1)
  agents.say('a', { address: `127.0.0.1:${port}` })
  const proxy = new MeshClient(part)
  for (const node of ['a', 'b', 'c']) await proxy.holds(`${node}/triton`, READY)
  const changes: StateChange[] = []
  const watch = admin(part).watchChanges({ nodeId: 'a' })
  watch.on('data', ({ changes: told }: WatchChangesResponse) => changes.push(...told))
  watch.on('error', () => {})
  opened.push(() => watch.cancel())

  proxy.sawFailures('a/triton', 50)
  await proxy.holds('a/triton', FAILED)
  expect(proxy.endpoints.get('a/triton')?.stateReason).toMatch(/^requests fail, and so does a fresh connection: .*ECONNREFUSED/)
  expect(await counted(part, 'suspects_asked_total', 'result="refused"')).toBeGreaterThan(0)

  const listener = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve) => listener.listen(port, '127.0.0.1', resolve))
  opened.push(() => void listener.close())
  await proxy.holds('a/triton', EndpointState.ENDPOINT_STATE_PROBATION)
  await until('the watcher was told all', () => (changes.some(({ to }) => to === 'PROBATION') ? true : undefined))
  expect(changes.map(({ endpointId, to }) => [endpointId, to])).toEqual(['READY', 'FAILED', 'PROBATION'].map((to) => ['a/triton', to]))
})

test('two control planes judge by what the proxies of both saw; a proxy that moves to the other is counted once', async () => {
  const server = await nats()
  const parts = [await controlPlane(server.url), await controlPlane(server.url)] as const
  const agents = await Agents.on(server, 'a', 'b')
  agents.say('a', { address: '127.0.0.1:1' })
  const left = new MeshClient(parts[0], {}, 'left')
  const right = new MeshClient(parts[1], {}, 'right')
  for (const proxy of [left, right]) for (const node of ['a', 'b']) await proxy.holds(`${node}/triton`, READY)
  for (const part of parts) await until('they hear one another', async () => (await counted(part, 'replicas')) === 1 || undefined)

  left.sawFailures('a/triton', 50)
  for (const proxy of [left, right]) {
    await proxy.holds('a/triton', FAILED)
    expect(proxy.endpoints.get('a/triton')?.stateReason).toMatch(/^requests fail, and so does a fresh connection: .*ECONNREFUSED/)
  }

  const held = async (part: Part): Promise<string | undefined> =>
    new Promise((resolve) =>
      admin(part).getNode({ nodeId: 'b' }, (_, answer) => resolve(answer?.node?.endpoints[0]?.endpoint?.stateReason)),
    )
  const bothHold = (words: string): Promise<true> =>
    until(`both say "${words}"`, async () => (await Promise.all(parts.map(held))).every((said) => said === words) || undefined)
  left.sawFailures('b/triton', 0, 7)
  await bothHold('7 in flight')
  const moved = new MeshClient(parts[1], {}, 'left')
  await moved.holds('b/triton', READY)
  moved.sawFailures('b/triton', 0, 5)
  await bothHold('5 in flight')
  left.close()
  await until('its first stream is over', async () => (await counted(parts[0], 'proxies')) === 0 || undefined)
  await bothHold('5 in flight')
  moved.close()
  await bothHold('')
})

test('health and reflection answer, also of messages with maps', async () => {
  const part = await controlPlane('127.0.0.1:1')
  const health = (service: string) =>
    ask(part, 'health/v1/health.proto', 'node_modules/grpc-health-check/proto', ['grpc', 'health', 'v1', 'Health'], 'Check', { service })
  expect(await health('')).toMatchObject({ status: 'SERVING' })
  expect(await health('millrace.mesh.v1.MeshService')).toMatchObject({ status: 'SERVING' })
  const reflect = (message: object) =>
    ask(
      part,
      'grpc/reflection/v1/reflection.proto',
      'node_modules/@grpc/reflection/build/proto',
      ['grpc', 'reflection', 'v1', 'ServerReflection'],
      'ServerReflectionInfo',
      message,
    )
  const listed = await reflect({ list_services: '*' })
  expect(JSON.stringify(listed.list_services_response)).toContain('millrace.admin.v1.AdminService')
  expect(JSON.stringify(listed.list_services_response)).toContain('millrace.mesh.v1.MeshService')
  const described = await reflect({ file_containing_symbol: 'millrace.admin.v1.Weight' })
  const { file_descriptor_proto: files } = described.file_descriptor_response as { file_descriptor_proto: Buffer[] }
  expect(files.some((file) => file.includes('FactorsEntry'))).toBe(true)
})

test('it ends cleanly with proxies and watchers connected, and refuses an address that others reach', async () => {
  const part = await controlPlane('127.0.0.1:1')
  const proxy = new MeshClient(part)
  const watch = admin(part).watchNodes({})
  watch.on('error', () => {})
  await new Promise((resolve) => watch.once('data', resolve))
  await until('the stream', async () => ((await counted(part, 'proxies')) === 1 ? true : undefined))
  expect(await part.stop()).toBe(0)
  await until('the end of the stream', () => proxy.ended)
  expect(proxy.ended).toBe(status.OK)

  await expect(spawnPart('control-plane', ['--listen', '0.0.0.0:0'])).rejects.toThrow(/loopback/)
  const taken = await controlPlane('127.0.0.1:1')
  await expect(spawnPart('control-plane', ['--listen', taken.fields.listen ?? '', '--metrics-listen', '127.0.0.1:0'])).rejects.toThrow(
    /in use by another process/,
  )
})
