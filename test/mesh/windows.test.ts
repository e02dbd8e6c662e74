/** Flow control at its edges, by a client that keeps its own account of every byte: data comes intact, never beyond what was granted, and memory is bounded. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { startProxy, type TestProxy } from '../tools/proxy.ts'
import {
  connectRaw,
  ERROR,
  endsStream,
  type Fields,
  FLAG,
  FRAME,
  FRAME_HEAD,
  type Frame,
  framed,
  grpcRequest,
  type RawPeer,
  SETTING,
  serveRaw,
} from '../tools/raw-h2.ts'
import { callOnce, DOWNLOAD, type Download, payloadOf, sha256, startTestService, type TestService, UPLOAD } from '../tools/test-service.ts'

const WINDOW_DEFAULT = 65_535
const WINDOW_MAX = 2 ** 31 - 1

let service: TestService
let proxy: TestProxy
const opened: RawPeer[] = []

beforeAll(async () => {
  service = await startTestService()
  proxy = await startProxy([{ id: 'gpu-a/service', address: service.address }])
})
afterEach(() => {
  for (const peer of opened.splice(0)) peer.close()
})
afterAll(async () => {
  await proxy?.stop()
  service?.stop()
})

/** What a whole download looks like on the wire. */
const expected = ({ messages, bytes }: Download): string =>
  sha256(Buffer.concat(Array.from({ length: messages }, (_, message) => framed(payloadOf(message, bytes)))))

/**
 * A client with one stream that holds the proxy to what it granted. A new INITIAL_WINDOW_SIZE counts from its acknowledgement on, as RFC 9113 §6.9.2
 * has it: what the proxy sent before it was sent under the old one.
 */
class StrictReader {
  readonly peer: RawPeer
  window: number
  connectionWindow = WINDOW_DEFAULT
  received = 0
  #initial: number
  readonly #announced: number[] = []
  #acks = 0
  overdrawn = 0

  constructor(peer: RawPeer, initial: number) {
    this.peer = peer
    this.window = initial
    this.#initial = initial
    peer.onFrame = (frame) => this.#account(frame)
  }

  announce(initial: number): void {
    this.#announced.push(initial)
    this.peer.settings({ [SETTING.INITIAL_WINDOW_SIZE]: initial })
  }

  grant(bytes: number): void {
    this.window += bytes
    this.peer.windowUpdate(1, bytes)
  }

  grantConnection(bytes: number): void {
    this.connectionWindow += bytes
    this.peer.windowUpdate(0, bytes)
  }

  #account(frame: Frame): void {
    if (frame.type === FRAME.SETTINGS && (frame.flags & FLAG.ACK) !== 0) {
      // The first acknowledgement is for the settings that the connection began with.
      const next = this.#acks++ === 0 ? this.#initial : this.#announced.shift()
      if (next === undefined) return
      this.window += next - this.#initial
      this.#initial = next
    }
    if (frame.type !== FRAME.DATA) return
    this.received += frame.payload.length
    this.window -= frame.payload.length
    this.connectionWindow -= frame.payload.length
    if (frame.payload.length > 0) this.overdrawn = Math.max(this.overdrawn, -this.window, -this.connectionWindow)
  }
}

async function openDownload(initial: number, download: Download, more: Fields = []): Promise<StrictReader> {
  const peer = await connectRaw(proxy.listen, { [SETTING.INITIAL_WINDOW_SIZE]: initial })
  opened.push(peer)
  const reader = new StrictReader(peer, initial)
  peer.headers(1, grpcRequest(DOWNLOAD, more))
  peer.data(1, framed(Buffer.from(JSON.stringify(download))), true)
  return reader
}

async function expectWhole(reader: StrictReader, download: Download): Promise<void> {
  const end = await reader.peer.wait('end of the stream', endsStream)
  expect(end.fields['grpc-status']).toBe('0')
  expect(sha256(reader.peer.body(1))).toBe(expected(download))
  expect(reader.overdrawn).toBe(0)
}

describe('windows of a client', () => {
  test('a window of one byte, opened one byte at a time, lets a message through whole', async () => {
    const download = { messages: 2, bytes: 300 }
    const reader = await openDownload(1, download)
    const { peer } = reader
    for (let count = 1; count < download.messages * (download.bytes + 5); count++) {
      await peer.until(`byte ${count}`, () => reader.received >= count)
      expect(reader.received).toBe(count)
      reader.grant(1)
    }
    await expectWhole(reader, download)
  })

  test('a window that is 0 from the start holds back the bytes and not the head', async () => {
    const download = { messages: 1, bytes: 1000 }
    const reader = await openDownload(0, download)
    await reader.peer.wait('response head', (frame) => frame.type === FRAME.HEADERS)
    await reader.peer.barrier()
    expect(reader.received).toBe(0)
    reader.grant(5000)
    await expectWhole(reader, download)
  })

  test('windows changed up, down and to 0 in mid-stream are kept to the byte', async () => {
    const download = { messages: 60, bytes: 5000 }
    const reader = await openDownload(1000, download)
    const { peer } = reader
    const total = download.messages * (download.bytes + 5)
    let turn = 0
    while (reader.received < total) {
      reader.announce(SIZES[turn % SIZES.length] ?? 0)
      await peer.barrier()
      // The turn's share: some by the stream, and always enough of the connection.
      if (turn % 3 !== 2) reader.grant(GRANTS[turn % GRANTS.length] ?? 1)
      if (reader.connectionWindow < WINDOW_DEFAULT / 2) reader.grantConnection(WINDOW_DEFAULT / 2)
      await peer.barrier()
      turn++
    }
    expect(turn).toBeGreaterThan(SIZES.length)
    await expectWhole(reader, download)
  })

  test('a window that a change made negative must come above 0 before a byte moves', async () => {
    const download = { messages: 10, bytes: 5000 }
    const reader = await openDownload(10_000, download)
    const { peer } = reader
    await peer.until('full window', () => reader.received === 10_000)
    reader.announce(100)
    await peer.barrier()
    expect(reader.window).toBe(-9_900)
    reader.grant(9_900)
    await peer.barrier()
    expect(reader.received).toBe(10_000)
    reader.grant(7)
    await peer.until('seven bytes', () => reader.received === 10_007)
    await peer.barrier()
    expect(reader.received).toBe(10_007)
    reader.grant(WINDOW_DEFAULT)
    await expectWhole(reader, download)
  })

  test('the connection window holds too, and streams behind it share what comes', async () => {
    const download = { messages: 1, bytes: 60_000 }
    const peer = await connectRaw(proxy.listen, { [SETTING.INITIAL_WINDOW_SIZE]: WINDOW_MAX })
    opened.push(peer)
    const ids = [1, 3, 5, 7]
    for (const id of ids) {
      peer.headers(id, grpcRequest(DOWNLOAD))
      peer.data(id, framed(Buffer.from(JSON.stringify(download))), true)
    }
    const received = (): number => ids.reduce((sum, id) => sum + peer.body(id).length, 0)
    await peer.until('connection window', () => received() === WINDOW_DEFAULT)
    await peer.barrier()
    expect(received()).toBe(WINDOW_DEFAULT)
    peer.windowUpdate(0, WINDOW_DEFAULT)
    await peer.until('second connection window', () => received() === 2 * WINDOW_DEFAULT)
    for (const id of ids) expect(peer.body(id).length, `stream ${id}`).toBeGreaterThan(0)
    peer.windowUpdate(0, 4 * 60_020)
    for (const id of ids) {
      await peer.wait(`end of ${id}`, (frame) => frame.id === id && endsStream(frame))
      expect(sha256(peer.body(id))).toBe(expected(download))
    }
  })
})

/** Up, down, 0 and back; primes, so that no frame boundary is met by luck. */
const SIZES = [4099, 17, 0, 65_537, 1, 0, 20_011, 997]
const GRANTS = [1, 8191, 3, 13_001, 257]

/** A backlog is looked at before a frame is added to it. */
const backlogMax = limits.socketBacklogMax + limits.frameSizeMax + FRAME_HEAD

describe('memory behind a slow reader', () => {
  const endless = { messages: 100_000, bytes: 16_000 }

  /** The backend has given all that the proxy takes: its account stands still over several looks. */
  async function stalled(): Promise<void> {
    let last = -1
    let still = 0
    await expect
      .poll(
        () => {
          still = service.written() === last ? still + 1 : 0
          last = service.written()
          return still
        },
        { interval: 100 },
      )
      .toBeGreaterThanOrEqual(10)
  }

  test('a reader that grants nothing more holds no more than its stream window', async () => {
    const reader = await openDownload(1000, endless)
    await reader.peer.until('first bytes', () => reader.received === 1000)
    await stalled()
    const buffered = await proxy.metric('millrace_relay_buffered_bytes')
    expect(buffered).toBeGreaterThan(0)
    expect(buffered).toBeLessThanOrEqual(limits.streamWindowStart)
    expect(await proxy.metric('millrace_socket_backlog_bytes')).toBeLessThanOrEqual(backlogMax)
  })

  test('a reader with the largest windows that never reads its socket holds its window and a bounded backlog', async () => {
    const peer = await connectRaw(proxy.listen, { [SETTING.INITIAL_WINDOW_SIZE]: WINDOW_MAX })
    opened.push(peer)
    peer.windowUpdate(0, WINDOW_MAX - WINDOW_DEFAULT)
    peer.socket.pause()
    peer.headers(1, grpcRequest(DOWNLOAD))
    peer.data(1, framed(Buffer.from(JSON.stringify(endless))), true)
    await expect.poll(() => proxy.metric('millrace_socket_backlog_bytes')).toBeGreaterThan(0)
    await stalled()
    const buffered = await proxy.metric('millrace_relay_buffered_bytes')
    expect(buffered).toBeGreaterThan(0)
    expect(buffered).toBeLessThanOrEqual(limits.streamWindowMax)
    expect(await proxy.metric('millrace_socket_backlog_bytes')).toBeLessThanOrEqual(backlogMax)

    const other = await callOnce(proxy.listen, DOWNLOAD, Buffer.from(JSON.stringify({ messages: 20, bytes: 50_000 })))
    expect(other.code, 'another reader of the same backend is not held up').toBe(0)
    expect(other.messages).toHaveLength(20)

    peer.close()
    await expect.poll(() => proxy.metric('millrace_relay_buffered_bytes')).toBe(0)
  })

  test('what a reader left lying comes whole when it reads at last', async () => {
    const download = { messages: 400, bytes: 16_000 }
    const peer = await connectRaw(proxy.listen, { [SETTING.INITIAL_WINDOW_SIZE]: WINDOW_MAX })
    opened.push(peer)
    peer.windowUpdate(0, WINDOW_MAX - WINDOW_DEFAULT)
    peer.socket.pause()
    peer.headers(1, grpcRequest(DOWNLOAD))
    peer.data(1, framed(Buffer.from(JSON.stringify(download))), true)
    await stalled()
    peer.socket.resume()
    const end = await peer.wait('end of the stream', endsStream)
    expect(end.fields['grpc-status']).toBe('0')
    expect(sha256(peer.body(1))).toBe(expected(download))
  })
})

/** What a client may send on its stream 1, by what the proxy granted. */
class Credit {
  readonly #peer: RawPeer
  #stream = WINDOW_DEFAULT
  #connection = WINDOW_DEFAULT

  constructor(peer: RawPeer) {
    this.#peer = peer
    peer.onFrame = (frame) => this.#account(frame)
    for (const frame of peer.frames) this.#account(frame)
  }

  /** The proxy's SETTINGS have come. */
  async known(): Promise<void> {
    await this.#peer.wait('SETTINGS', (frame) => frame.type === FRAME.SETTINGS && (frame.flags & FLAG.ACK) === 0)
  }

  get left(): number {
    return Math.min(this.#stream, this.#connection)
  }

  take(most: number): number {
    const taken = Math.min(this.left, most)
    this.#stream -= taken
    this.#connection -= taken
    return taken
  }

  #account({ type, flags, id, payload }: Frame): void {
    if (type === FRAME.SETTINGS && (flags & FLAG.ACK) === 0)
      for (let at = 0; at < payload.length; at += 6)
        if (payload.readUInt16BE(at) === SETTING.INITIAL_WINDOW_SIZE) this.#stream += payload.readUInt32BE(at + 2) - WINDOW_DEFAULT
    if (type === FRAME.WINDOW_UPDATE && id === 0) this.#connection += payload.readUInt32BE(0)
    if (type === FRAME.WINDOW_UPDATE && id === 1) this.#stream += payload.readUInt32BE(0)
  }
}

describe('windows of the proxy towards a client', () => {
  test('an upload larger than any window moves on by the credit that the proxy returns', async () => {
    const peer = await connectRaw(proxy.listen)
    opened.push(peer)
    const credit = new Credit(peer)
    await credit.known()
    const messages = Array.from({ length: 50 }, (_, message) => payloadOf(message, 60_000))
    const bytes = Buffer.concat(messages.map(framed))
    peer.headers(1, grpcRequest(UPLOAD))
    for (let at = 0; at < bytes.length; ) {
      await peer.until('credit', () => credit.left > 0)
      const piece = bytes.subarray(at, at + credit.take(limits.frameSizeMax))
      at += piece.length
      peer.data(1, piece, at === bytes.length)
    }
    const end = await peer.wait('end of the stream', endsStream)
    expect(end.fields['grpc-status']).toBe('0')
    expect(peer.body(1).subarray(5).toString()).toBe(sha256(Buffer.concat(messages)))
  })

  test('a backend that takes nothing leaves its client without credit, and the proxy with no more than was granted', async () => {
    // It leaves its windows as they begin, and gives nothing back.
    const deaf = await serveRaw(() => {})
    const own = await startProxy([{ id: 'gpu-b/deaf', address: deaf.address }])
    try {
      const peer = await connectRaw(own.listen)
      opened.push(peer)
      const credit = new Credit(peer)
      await credit.known()
      peer.headers(1, grpcRequest(UPLOAD))
      let sent = 0
      for (let dry = 0; dry < 3; dry = credit.left > 0 ? 0 : dry + 1) {
        while (credit.left > 0) {
          const piece = Buffer.alloc(credit.take(limits.frameSizeMax))
          peer.data(1, piece)
          sent += piece.length
        }
        await peer.barrier()
      }
      expect(sent).toBeGreaterThan(WINDOW_DEFAULT)
      expect(sent).toBeLessThanOrEqual(WINDOW_DEFAULT + limits.streamWindowMax)
      await expect.poll(() => own.metric('millrace_relay_buffered_bytes')).toBe(sent - WINDOW_DEFAULT)
      peer.reset(1, ERROR.CANCEL)
      await expect.poll(() => own.metric('millrace_relay_buffered_bytes')).toBe(0)
      await expect.poll(() => own.metric('millrace_retry_copy_bytes')).toBe(0)
    } finally {
      await own.stop()
      await deaf.stop()
    }
  })
})
