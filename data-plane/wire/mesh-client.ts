/**
 * The proxy's end of the mesh stream: folds deltas into a snapshot, answers ACK or NACK, and comes back with its map of versions after a loss.
 * Messages are taken in one after the other, some rows in each turn of the event loop.
 * Without a control plane the last good snapshot stays; nothing here ever takes an endpoint away because nobody answers.
 */
import { type ClientDuplexStream, credentials } from '@grpc/grpc-js'
import type { Logger } from '../../core/edge/log.ts'
import { limits } from '../../core/limits.ts'
import type { Endpoint } from '../../core/mesh-snapshot.ts'
import {
  type ConnectRequest,
  ConnectResponse,
  type EndpointOutcomes,
  type EndpointsDelta,
  type ExplainQuery,
  type ExplainReply,
  MeshServiceClient,
  MeshServiceService,
} from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import type { LoadRow } from '../share/rows.ts'
import { nextTurn } from './next-turn.ts'
import { readEndpoint, readLoad } from './read-endpoint.ts'
import type { HeldEndpoint } from './state-file.ts'

const BACKOFF_FIRST_MS = 250
const BACKOFF_MAX_MS = 5_000

export type MeshClientOptions = {
  readonly address: string
  readonly proxyId: string
  readonly zone: string
  readonly version: string
  readonly log: Logger
  /** Known already, as from a disk; the control plane tells the differences. */
  readonly held: readonly HeldEndpoint[]
  /** `version` is that of the whole after it. Nothing else is taken in before it resolves. */
  onChange(upserts: readonly Endpoint[], removed: readonly string[], version: string): Promise<void>
  onLoads(rows: readonly LoadRow[]): void
  onLoadsHold(teller: number): void
  onExplain(query: ExplainQuery): Promise<ExplainReply | undefined>
}

type MeshStream = ClientDuplexStream<ConnectRequest, Buffer>

export class MeshClient {
  readonly #options: MeshClientOptions
  readonly #client: MeshServiceClient
  readonly #held: Map<string, HeldEndpoint>
  /** Of the whole, as the control plane last named it. */
  snapshotVersion = ''
  #stream: MeshStream | undefined
  #taking = Promise.resolve()
  #backoff = BACKOFF_FIRST_MS
  #retry: NodeJS.Timeout | undefined
  #closed = false
  #everHeard = false
  /** Each stream is another one; so is what comes behind a word that loads come anew. */
  #teller = 0
  acks = 0
  nacks = 0

  constructor(options: MeshClientOptions) {
    this.#options = options
    this.#held = new Map(options.held.map((one) => [one.endpoint.id, one]))
    this.#client = new MeshServiceClient(options.address, credentials.createInsecure(), {
      'grpc.initial_reconnect_backoff_ms': BACKOFF_FIRST_MS,
      'grpc.max_reconnect_backoff_ms': BACKOFF_MAX_MS,
      'grpc.keepalive_time_ms': 10_000,
      'grpc.max_receive_message_length': 64 * 1024 * 1024,
    })
  }

  /** True while a stream is open on which the control plane has spoken. */
  get connected(): boolean {
    return this.#stream !== undefined && this.#everHeard
  }

  get held(): readonly HeldEndpoint[] {
    return [...this.#held.values()]
  }

  start(): void {
    const { proxyId, zone, version, log } = this.#options
    const { path, requestSerialize } = MeshServiceService.connect
    // As bytes: those that wait are decoded when their turn comes.
    const stream: MeshStream = this.#client.makeBidiStreamRequest(path, requestSerialize, (bytes: Buffer) => bytes)
    this.#stream = stream
    this.#everHeard = false
    this.#teller++
    stream.on('data', (bytes: Buffer) => {
      stream.pause()
      this.#taking = this.#taking.then(() => this.#take(stream, bytes)).then(() => void stream.resume())
    })
    stream.on('error', (error: Error) => log.debug({ err: error }, 'mesh.stream'))
    stream.on('status', (status) => this.#onEnd(`${status.code} ${status.details}`))
    const endpointVersions = Object.fromEntries([...this.#held].map(([id, held]) => [id, held.version]))
    stream.write({ message: { $case: 'hello', value: { proxyId, zone, proxyVersion: version, endpointVersions } } })
  }

  report(endpoints: EndpointOutcomes[]): void {
    if (this.connected) this.#stream?.write({ message: { $case: 'report', value: { endpoints } } })
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#retry)
    this.#stream?.cancel()
    this.#client.close()
  }

  #onEnd(detail: string): void {
    this.#stream = undefined
    if (this.#closed) return
    this.#options.log.warn({ controlPlane: this.#options.address, detail, held: this.#held.size }, 'mesh.lost')
    this.#retry = setTimeout(() => this.start(), this.#backoff * (0.5 + Math.random()))
    this.#backoff = Math.min(this.#backoff * 2, BACKOFF_MAX_MS)
  }

  /** What a stream brought that is lost is nobody's: the next one was told only of what is held. */
  async #take(stream: MeshStream, bytes: Buffer): Promise<void> {
    await nextTurn()
    if (stream !== this.#stream) return
    const { address, log } = this.#options
    if (!this.#everHeard) log.info({ controlPlane: address }, 'mesh.connected')
    this.#everHeard = true
    this.#backoff = BACKOFF_FIRST_MS
    let response: ConnectResponse
    try {
      response = ConnectResponse.decode(bytes)
    } catch (error) {
      log.warn({ detail: (error as Error).message }, 'mesh.unreadable')
      return stream.cancel()
    }
    await nextTurn()
    if (stream !== this.#stream) return
    if (response.message?.$case === 'endpoints') await this.#onDelta(stream, response.message.value)
    else if (response.message?.$case === 'explain') void this.#onExplain(stream, response.message.value)
  }

  async #onDelta(stream: MeshStream, delta: EndpointsDelta): Promise<void> {
    const problem = await this.#apply(delta)
    if (stream !== this.#stream) return
    if (problem === undefined) {
      this.acks++
      if (delta.nonce !== '') stream.write({ message: { $case: 'ack', value: { nonce: delta.nonce } } })
    } else {
      this.nacks++
      this.#options.log.warn({ reason: problem }, 'mesh.nack')
      stream.write({ message: { $case: 'nack', value: { nonce: delta.nonce, reason: problem } } })
    }
  }

  /** Nothing waits for it: it is told when it is known. */
  async #onExplain(stream: MeshStream, query: ExplainQuery): Promise<void> {
    const reply = await this.#options.onExplain(query)
    if (reply !== undefined && stream === this.#stream) stream.write({ message: { $case: 'explained', value: reply } })
  }

  /** All or nothing; answers what is wrong. */
  async #apply(delta: EndpointsDelta): Promise<string | undefined> {
    const upserts: [string, HeldEndpoint][] = []
    for (const { version, endpoint } of delta.upserts) {
      const read = endpoint === undefined ? 'an endpoint resource without an endpoint' : readEndpoint(endpoint)
      if (typeof read === 'string') return read
      upserts.push([read.id, { version, endpoint: read }])
    }
    this.snapshotVersion = delta.snapshotVersion
    if (delta.loadsAnew) this.#teller++
    const teller = this.#teller
    for (const [id, held] of upserts) this.#held.set(id, held)
    for (const id of delta.removed) this.#held.delete(id)
    if (upserts.length > 0 || delta.removed.length > 0)
      await this.#options.onChange(
        upserts.map(([, held]) => held.endpoint),
        delta.removed,
        delta.snapshotVersion,
      )
    await this.#takeLoads(delta, teller)
    return undefined
  }

  async #takeLoads(delta: EndpointsDelta, teller: number): Promise<void> {
    for (let at = 0; at < delta.loads.length; at += limits.feedLoadsMax) {
      const some = delta.loads.slice(at, at + limits.feedLoadsMax)
      this.#options.onLoads(
        some.map(({ endpointId, load, ageMs, ages }) => ({
          id: endpointId,
          load: load === undefined ? undefined : readLoad(load),
          ageMs,
          teller: ages ? 0 : teller,
        })),
      )
      await nextTurn()
    }
    if (delta.loadsHold) this.#options.onLoadsHold(teller)
  }
}
