/** A proxy without a control plane, in front of the endpoints that a test names. */
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EndpointTls, Protocol } from '../../core/mesh-snapshot.ts'
import { type Part, spawnPart } from './spawn-part.ts'

export type TestEndpoint = {
  readonly id: string
  readonly address: string
  readonly models?: readonly string[]
  readonly state?: string
  readonly protocol?: Protocol
  readonly tls?: EndpointTls
}

export type TestProxy = {
  /** host:port of the listener that clients use. */
  readonly listen: string
  readonly part: Part
  /** The static file that it reads. */
  readonly file: string
  /** Swaps that file as a whole, as an operator's tool does: nobody reads half of it. */
  put(content: object | string): void
  /** The sum over the rows of one metric whose labels hold all of `labels`; rejects when the page has no such row. */
  metric(name: string, ...labels: readonly string[]): Promise<number>
  stop(): Promise<void>
}

/** Of gRPC's own interop contract; it stands for any service that is not inference and is routed by its path. */
export const TEST_SERVICE = '/grpc.testing.TestService/'
/** Another one, whose model has its endpoints in turn. */
export const PAIR_SERVICE = '/grpc.testing.PairService/'

export const staticSnapshot = (endpoints: readonly TestEndpoint[]): object => ({
  models: [
    { name: 'llm_stream', policy: 'LEAST_WAIT' },
    { name: 'pair', policy: 'ROUND_ROBIN' },
  ],
  routes: [
    { prefix: TEST_SERVICE, model: 'alone' },
    { prefix: PAIR_SERVICE, model: 'pair' },
  ],
  endpoints: endpoints.map(({ id, address, models = ['*'], state = 'READY', protocol = 'KSERVE_GRPC', tls }) => ({
    id,
    node: id.split('/')[0],
    zone: 'z1',
    address,
    protocol,
    models,
    weight: 100,
    state,
    capacity: 64,
    ...(tls === undefined ? {} : { tls }),
  })),
})

export const startProxy = (endpoints: readonly TestEndpoint[], ...more: readonly string[]): Promise<TestProxy> =>
  startProxyWith(staticSnapshot(endpoints), ...more)

/** One endpoint for everything, and services of which the proxy knows no more than how their paths begin. */
export const startRoutedProxy = (address: string, prefixes: readonly string[], ...more: readonly string[]): Promise<TestProxy> =>
  startProxyWith(
    {
      ...staticSnapshot([{ id: 'gpu-a/routed', address, protocol: 'GRPC' }]),
      routes: prefixes.map((prefix) => ({ prefix, model: 'routed' })),
    },
    ...more,
  )

/** With whatever a static file may say. */
export async function startProxyWith(snapshot: object, ...more: readonly string[]): Promise<TestProxy> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-proxy-'))
  const file = join(folder, 'mesh.json')
  writeFileSync(file, JSON.stringify(snapshot))
  const argv = ['--static', file, '--listen', '127.0.0.1:0', '--metrics-listen', '127.0.0.1:0', '--name-endpoints', ...more]
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  const part = await spawnPart('data-plane', argv).catch((error: unknown) => {
    remove()
    throw error
  })
  return {
    listen: part.fields.listen ?? '',
    part,
    file,
    put(content) {
      writeFileSync(`${file}.next`, typeof content === 'string' ? content : JSON.stringify(content))
      renameSync(`${file}.next`, file)
    },
    metric: (name, ...labels) => readMetric(`http://${part.fields.metrics}/metrics`, name, ...labels),
    async stop() {
      await part.stop()
      remove()
    },
  }
}

/** The sum over the rows of a metric whose labels hold all of `labels`, as in `model="echo"`. */
export async function readMetric(url: string, name: string, ...labels: readonly string[]): Promise<number> {
  const page = await (await fetch(url)).text()
  const rows = page
    .split('\n')
    .filter((line) => (line.startsWith(`${name}{`) || line.startsWith(`${name} `)) && labels.every((one) => line.includes(one)))
  if (rows.length === 0) throw new Error(`${url} has no ${name} ${labels.join(',')}`)
  return rows.reduce((sum, row) => sum + Number(row.slice(row.lastIndexOf(' ') + 1)), 0)
}

/** Process ids: of a proxy's primary, those are its workers. */
export const childrenOf = (pid: number): readonly number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter((text) => text !== '')
    .map(Number)
