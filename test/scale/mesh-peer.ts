/** One mesh client as cheap as it can be: a connection of its own as a proxy has, bare gRPC messages, an ACK for each that asks for one. */
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2'
import { BinaryReader } from '@bufbuild/protobuf/wire'
import {
  ConnectRequest,
  ConnectResponse,
  type EndpointResource,
  type EndpointsDelta,
  type Hello,
  MeshServiceService,
} from '../../proto/gen/millrace/mesh/v1/mesh.ts'

const PREFIX_BYTES = 5
/** What a client looks at: how many endpoints it is told, and when it asks for them which. */
export type PeerDelta = Readonly<Pick<EndpointsDelta, 'nonce'>> & {
  readonly count: number
  upserts(): readonly EndpointResource[]
}

const WINDOW_BYTES = 8 * 2 ** 20

export const encodeMessage = (request: ConnectRequest): Buffer => {
  const body = ConnectRequest.encode(request).finish()
  const message = Buffer.alloc(PREFIX_BYTES + body.length)
  message.writeUInt32BE(body.length, 1)
  message.set(body, PREFIX_BYTES)
  return message
}

/** What these clients look at is never in a message that wants no answer. */
const LOADS_ALONE: PeerDelta = { nonce: '', count: 0, upserts: () => [] }

/**
 * A control plane sends most messages to many proxies: who stands for many of them reads each once, and only what it is asked for, as a thousand proxies on
 * hosts of their own would do it beside one another.
 */
export class DeltaReader {
  readonly #known = new Map<string, PeerDelta>()
  readonly #keptMax: number

  constructor(keptMax = 500) {
    this.#keptMax = keptMax
  }

  read(bytes: Buffer): PeerDelta {
    const nonce = nonceOf(bytes)
    if (nonce === '') return LOADS_ALONE
    const known = this.#known.get(nonce)
    if (known !== undefined) return known
    let upserts: readonly EndpointResource[] | undefined
    const delta: PeerDelta = { nonce, count: countUpserts(bytes), upserts: () => (upserts ??= decodeUpserts(bytes)) }
    this.#known.set(nonce, delta)
    if (this.#known.size > this.#keptMax) this.#known.delete(this.#known.keys().next().value ?? '')
    return delta
  }
}

function decodeUpserts(bytes: Buffer): readonly EndpointResource[] {
  const { message } = ConnectResponse.decode(bytes)
  if (message?.$case !== 'endpoints') throw new Error('a message of the mesh stream that holds no endpoints')
  return message.value.upserts
}

/** Field 2 of field 1. */
function countUpserts(bytes: Buffer): number {
  const reader = new BinaryReader(bytes)
  reader.tag()
  reader.uint32()
  let count = 0
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag()
    if (field === 2) count++
    reader.skip(type)
  }
  return count
}

/** Field 1 of field 1, when a message begins with it; its length is below 128. */
function nonceOf(bytes: Buffer): string {
  let at = 1
  while ((bytes[at++] ?? 0) >= 0x80);
  if (bytes[at] !== 0x0a) return ''
  const length = bytes[at + 1] ?? 0
  return bytes.toString('latin1', at + 2, at + 2 + length)
}

export type PeerCounts = { messages: number; bytes: number; acks: number; reports: number }

export class MeshPeer {
  readonly #session: ClientHttp2Session
  readonly #stream: ClientHttp2Stream
  readonly #reader: DeltaReader
  readonly #counts: PeerCounts
  readonly #onDelta: (delta: PeerDelta) => void
  #rest: Buffer = Buffer.alloc(0)

  constructor(
    address: string,
    hello: Partial<Hello>,
    reader: DeltaReader,
    counts: PeerCounts,
    onDelta: (delta: PeerDelta) => void,
    onEnd: (why: string) => void,
  ) {
    this.#reader = reader
    this.#counts = counts
    this.#onDelta = onDelta
    this.#session = connect(`http://${address}`, { settings: { initialWindowSize: WINDOW_BYTES, enablePush: false } })
    this.#session.on('error', (error) => onEnd(error.message))
    this.#session.on('connect', (session) => session.setLocalWindowSize(WINDOW_BYTES))
    const path = MeshServiceService.connect.path
    this.#stream = this.#session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' })
    this.#stream.on('data', (bytes: Buffer) => this.#take(bytes))
    this.#stream.on('error', (error) => onEnd(error.message))
    this.#stream.on('end', () => onEnd('the control plane ended the stream'))
    const value = { proxyId: '', zone: '', proxyVersion: 'scale', endpointVersions: {}, ...hello }
    this.#stream.write(encodeMessage({ message: { $case: 'hello', value } }))
  }

  report(message: Buffer): void {
    this.#counts.reports++
    this.#stream.write(message)
  }

  close(): void {
    this.#session.destroy()
  }

  #take(bytes: Buffer): void {
    let all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    while (all.length >= PREFIX_BYTES) {
      const end = PREFIX_BYTES + all.readUInt32BE(1)
      if (all.length < end) break
      this.#taken(all.subarray(PREFIX_BYTES, end))
      all = all.subarray(end)
    }
    this.#rest = all
  }

  #taken(message: Buffer): void {
    this.#counts.messages++
    this.#counts.bytes += PREFIX_BYTES + message.length
    const delta = this.#reader.read(message)
    if (delta.nonce !== '') {
      this.#counts.acks++
      this.#stream.write(encodeMessage({ message: { $case: 'ack', value: { nonce: delta.nonce } } }))
    }
    this.#onDelta(delta)
  }
}
