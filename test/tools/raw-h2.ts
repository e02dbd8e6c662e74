/**
 * A bare HTTP/2 peer for tests that must do what no library lets them: send any frame at any time, keep or give credit byte by byte, stop in the
 * middle. It acknowledges SETTINGS and PING and does nothing else by itself: no windows, no limits, no manners.
 */
import { connect, createServer, type Socket } from 'node:net'
import { splitHostPort } from '../../core/edge/listen.ts'
import type { HeaderField } from '../../data-plane/http2/header-field.ts'
import { HpackDecoder } from '../../data-plane/http2/hpack-decoder.ts'
import { FLAG, FRAME, FRAME_HEAD, PREFACE } from '../../data-plane/http2/protocol.ts'

export { ERROR, FLAG, FRAME, FRAME_HEAD, SETTING } from '../../data-plane/http2/protocol.ts'

export type Frame = {
  readonly type: number
  readonly flags: number
  readonly id: number
  readonly payload: Buffer
  /** Of a HEADERS frame. A name that comes twice keeps its last value. */
  readonly fields: Readonly<Record<string, string>>
}

export type Fields = readonly (readonly [name: string, value: string])[]

const WAIT_MS = 30_000
/** Every peer takes frames of this size (RFC 9113 §6.5.2). */
const FRAME_SIZE_MAX = 16_384
const NOTHING = Buffer.alloc(0)

export const endsStream = (frame: Frame): boolean =>
  (frame.type === FRAME.DATA || frame.type === FRAME.HEADERS) && (frame.flags & FLAG.END_STREAM) !== 0

export class RawPeer {
  readonly socket: Socket
  /** All that came, in order; SETTINGS and PING with their acknowledgements included. */
  readonly frames: Frame[] = []
  /** Sees each frame in the turn in which it came. */
  onFrame: (frame: Frame) => void = () => {}
  readonly closed: Promise<void>
  readonly #decoder = new HpackDecoder(4096, { listSizeMax: 65_536, fieldsMax: 512 })
  readonly #waiters = new Set<() => void>()
  #unread: Buffer = NOTHING
  #prefaceLeft: number
  #over = false

  constructor(socket: Socket, role: 'client' | 'server') {
    this.socket = socket
    this.#prefaceLeft = role === 'server' ? PREFACE.length : 0
    socket.setNoDelay(true)
    socket.on('data', (bytes: Buffer) => this.#read(bytes))
    // A peer that breaks connections on purpose sees errors on purpose.
    socket.on('error', () => {})
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#over = true
        this.#wake()
        resolve()
      })
    })
    if (role === 'client') socket.write(PREFACE)
  }

  /** The connection has ended. */
  get over(): boolean {
    return this.#over
  }

  send(type: number, flags: number, id: number, payload: Uint8Array = NOTHING): void {
    this.socket.write(frameOf(type, flags, id, payload))
  }

  settings(values: Readonly<Record<number, number>> = {}): void {
    const pairs = Object.entries(values).map(([id, value]) => {
      const pair = Buffer.alloc(6)
      pair.writeUInt16BE(Number(id), 0)
      pair.writeUInt32BE(value, 2)
      return pair
    })
    this.send(FRAME.SETTINGS, 0, 0, Buffer.concat(pairs))
  }

  /** A block larger than a frame goes on in CONTINUATION frames. */
  headers(id: number, fields: Fields, endStream = false): void {
    const block = encodeFields(fields)
    for (let at = 0; at === 0 || at < block.length; at += FRAME_SIZE_MAX) {
      const flags = (at === 0 && endStream ? FLAG.END_STREAM : 0) | (at + FRAME_SIZE_MAX >= block.length ? FLAG.END_HEADERS : 0)
      this.send(at === 0 ? FRAME.HEADERS : FRAME.CONTINUATION, flags, id, block.subarray(at, at + FRAME_SIZE_MAX))
    }
  }

  data(id: number, bytes: Uint8Array, endStream = false): void {
    this.send(FRAME.DATA, endStream ? FLAG.END_STREAM : 0, id, bytes)
  }

  reset(id: number, code: number): void {
    this.send(FRAME.RST_STREAM, 0, id, uint32(code))
  }

  windowUpdate(id: number, increment: number): void {
    this.send(FRAME.WINDOW_UPDATE, 0, id, uint32(increment))
  }

  goaway(lastStreamId: number, code: number): void {
    this.send(FRAME.GOAWAY, 0, 0, Buffer.concat([uint32(lastStreamId), uint32(code)]))
  }

  /** The first frame that fits, past ones from `since` on included. */
  async wait(what: string, fits: (frame: Frame) => boolean, since = 0): Promise<Frame> {
    let frame: Frame | undefined
    await this.until(what, () => {
      frame = this.frames.slice(since).find(fits)
      return frame !== undefined
    })
    return frame as Frame
  }

  /** Looks again after each frame that comes. */
  async until(what: string, holds: () => boolean): Promise<void> {
    const deadline = AbortSignal.timeout(WAIT_MS)
    while (!holds()) {
      if (this.#over) throw new Error(`the connection closed before ${what}`)
      if (deadline.aborted) throw new Error(`no ${what} within ${WAIT_MS} ms`)
      await new Promise<void>((resolve) => {
        const done = (): void => {
          this.#waiters.delete(done)
          deadline.removeEventListener('abort', done)
          resolve()
        }
        this.#waiters.add(done)
        deadline.addEventListener('abort', done)
      })
    }
  }

  /** Resolves when the other side has read and answered everything sent so far. */
  async barrier(): Promise<void> {
    const since = this.frames.length
    this.send(FRAME.PING, 0, 0, Buffer.from('barrier!'))
    await this.wait('PING acknowledgement', (frame) => frame.type === FRAME.PING && (frame.flags & FLAG.ACK) !== 0, since)
  }

  body(id: number): Buffer {
    return Buffer.concat(this.frames.filter((frame) => frame.type === FRAME.DATA && frame.id === id).map((frame) => frame.payload))
  }

  close(): void {
    this.socket.destroy()
  }

  #read(bytes: Buffer): void {
    let rest = this.#unread.length === 0 ? bytes : Buffer.concat([this.#unread, bytes])
    const skipped = Math.min(this.#prefaceLeft, rest.length)
    this.#prefaceLeft -= skipped
    rest = rest.subarray(skipped)
    while (rest.length >= FRAME_HEAD) {
      const end = FRAME_HEAD + rest.readUIntBE(0, 3)
      if (rest.length < end) break
      this.#take(rest[3] as number, rest[4] as number, rest.readUInt32BE(5) & 0x7fffffff, Buffer.from(rest.subarray(FRAME_HEAD, end)))
      rest = rest.subarray(end)
    }
    this.#unread = rest
    this.#wake()
  }

  #take(type: number, flags: number, id: number, payload: Buffer): void {
    const frame = { type, flags, id, payload, fields: type === FRAME.HEADERS ? this.#decode(payload) : {} }
    if (type === FRAME.SETTINGS && (flags & FLAG.ACK) === 0) this.send(FRAME.SETTINGS, FLAG.ACK, 0)
    if (type === FRAME.PING && (flags & FLAG.ACK) === 0) this.send(FRAME.PING, FLAG.ACK, 0, payload)
    this.frames.push(frame)
    this.onFrame(frame)
  }

  #decode(block: Buffer): Record<string, string> {
    const fields: HeaderField[] = []
    const result = this.#decoder.decode(block, 0, block.length, fields)
    if (result !== 'ok') throw new Error(`a header block that is ${result}`)
    return Object.fromEntries(fields.map((field) => [field.name, Buffer.from(field.value).toString('latin1')]))
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) waiter()
  }
}

/** A client connection whose SETTINGS hold `settings`. */
export async function connectRaw(address: string, settings: Readonly<Record<number, number>> = {}): Promise<RawPeer> {
  const socket = connect(splitHostPort(address))
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  const peer = new RawPeer(socket, 'client')
  peer.settings(settings)
  return peer
}

export type RawServer = { readonly address: string; readonly peers: ReadonlySet<RawPeer>; stop(): Promise<void> }

/** A server that sends empty SETTINGS and leaves the rest to `onPeer`. */
export async function serveRaw(onPeer: (peer: RawPeer) => void): Promise<RawServer> {
  const peers = new Set<RawPeer>()
  const server = createServer((socket) => {
    const peer = new RawPeer(socket, 'server')
    peers.add(peer)
    void peer.closed.then(() => peers.delete(peer))
    peer.settings()
    onPeer(peer)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    address: `127.0.0.1:${address !== null && typeof address === 'object' ? address.port : 0}`,
    peers,
    stop: async () => {
      for (const peer of peers) peer.close()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export function frameOf(type: number, flags: number, id: number, payload: Uint8Array = NOTHING): Buffer {
  const head = Buffer.alloc(FRAME_HEAD)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(id, 5)
  return Buffer.concat([head, payload])
}

/** A gRPC message with its five bytes of prefix. */
export function framed(message: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(0), uint32(message.length), message])
}

export const grpcRequest = (path: string, more: Fields = []): Fields => [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', path],
  [':authority', 'test'],
  ['te', 'trailers'],
  ['content-type', 'application/grpc'],
  ...more,
]

/** Literals without indexing, strings as they are: legal for any decoder, whatever came before. */
export function encodeFields(fields: Fields): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), ...encodeString(name), ...encodeString(value)]))
}

function encodeString(text: string): Buffer[] {
  const bytes = Buffer.from(text, 'latin1')
  if (bytes.length < 0x7f) return [Buffer.of(bytes.length), bytes]
  const length = [0x7f]
  let rest = bytes.length - 0x7f
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) length.push((rest % 0x80) + 0x80)
  return [Buffer.from([...length, rest]), bytes]
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
