/**
 * The client and the server of a rehearsal: they write frames as gRPC's own libraries do (header fields indexed, fresh values inserted and evicting
 * others, one string in Huffman code), because code that was compiled for other shapes is compiled again when real traffic comes.
 */
import { FLAG, FRAME, FRAME_HEAD, PREFACE, SETTING } from '../http2/protocol.ts'

const TABLE_SIZE = 4_096
const ENTRY_OVERHEAD = 32
const STATIC_ENTRIES = 61
/** "www.example.com" (RFC 7541 C.4.1). */
const HUFFMAN_TEXT = Buffer.from('f1e3c2e5f23a6ba0ab90f4ff', 'hex')

/** HPACK as clients write it: what is in the table is named by its index, all else is inserted. */
class IndexingEncoder {
  #entries: { readonly key: string; readonly size: number }[] = []
  #size = 0

  field(name: string, value: string): Buffer {
    const key = `${name}\n${value}`
    const at = this.#entries.findIndex((entry) => entry.key === key)
    if (at >= 0) return integer(0x80, 7, STATIC_ENTRIES + 1 + at)
    const size = name.length + value.length + ENTRY_OVERHEAD
    this.#entries.unshift({ key, size })
    this.#size += size
    while (this.#size > TABLE_SIZE) this.#size -= this.#entries.pop()?.size ?? 0
    return Buffer.concat([Buffer.from([0x40]), text(name), text(value)])
  }
}

function integer(pattern: number, bits: number, value: number): Buffer {
  const most = 2 ** bits - 1
  if (value < most) return Buffer.from([pattern | value])
  const bytes = [pattern | most]
  let rest = value - most
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128)
  return Buffer.from([...bytes, rest])
}

const text = (value: string): Buffer => Buffer.concat([integer(0, 7, value.length), Buffer.from(value, 'latin1')])

export function frame(type: number, flags: number, streamId: number, payload: Buffer): Buffer {
  const bytes = Buffer.alloc(FRAME_HEAD + payload.length)
  bytes.writeUIntBE(payload.length, 0, 3)
  bytes[3] = type
  bytes[4] = flags
  bytes.writeUInt32BE(streamId, 5)
  bytes.set(payload, FRAME_HEAD)
  return bytes
}

const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

const WIDE_OPEN = 2 ** 30

/** What either side says first: windows that never shut. */
const greeting = (): Buffer =>
  Buffer.concat([
    frame(FRAME.SETTINGS, 0, 0, Buffer.concat([Buffer.from([0, SETTING.INITIAL_WINDOW_SIZE]), uint32(WIDE_OPEN)])),
    frame(FRAME.WINDOW_UPDATE, 0, 0, uint32(WIDE_OPEN)),
  ])

/** Calls `onFrame` for each frame of a stream of reads. */
export function frameCutter(onFrame: (type: number, flags: number, streamId: number) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0)
  return (chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    while (bytes.length - at >= FRAME_HEAD) {
      const length = bytes.readUIntBE(at, 3)
      if (bytes.length - at < FRAME_HEAD + length) break
      onFrame(bytes[at + 3] as number, bytes[at + 4] as number, bytes.readUInt32BE(at + 5))
      at += FRAME_HEAD + length
    }
    rest = bytes.subarray(at)
  }
}

/** Every fourth call is a stream; both sides know by the stream's id. */
const isStream = (streamId: number): boolean => (streamId >>> 1) % 4 === 0

export class RehearsalClient {
  readonly #encoder = new IndexingEncoder()
  readonly #message: Buffer
  #nextId = 1

  constructor(message: Buffer) {
    this.#message = message
  }

  greet(): Buffer {
    return Buffer.concat([Buffer.from(PREFACE, 'latin1'), greeting()])
  }

  call(): Buffer {
    const id = this.#nextId
    this.#nextId += 2
    const fresh = id.toString(16).padStart(16, '0')
    const fields: readonly (readonly [string, string])[] = [
      [':path', `/inference.GRPCInferenceService/${isStream(id) ? 'ModelStreamInfer' : 'ModelInfer'}`],
      [':authority', 'rehearsal'],
      ['content-type', 'application/grpc'],
      ['user-agent', 'rehearsal/1'],
      ['te', 'trailers'],
      ['grpc-timeout', `${9_999_000 + (id % 997)}u`],
      ['authorization', 'Bearer rehearsal'],
      ['traceparent', `00-${fresh}${fresh}-${fresh}-01`],
      ['x-request-id', fresh],
    ]
    const huffman = Buffer.concat([Buffer.from([0x00]), text('x-huffman'), integer(0x80, 7, HUFFMAN_TEXT.length), HUFFMAN_TEXT])
    // :method POST and :scheme http stand in the static table.
    const block = Buffer.concat([Buffer.from([0x83, 0x86]), ...fields.map(([name, value]) => this.#encoder.field(name, value)), huffman])
    return Buffer.concat([frame(FRAME.HEADERS, FLAG.END_HEADERS, id, block), frame(FRAME.DATA, FLAG.END_STREAM, id, this.#message)])
  }
}

export class RehearsalServer {
  readonly #encoder = new IndexingEncoder()
  readonly #message: Buffer
  readonly #token: Buffer
  readonly #tokens: number

  constructor(message: Buffer, token: Buffer, tokens: number) {
    this.#message = message
    this.#token = token
    this.#tokens = tokens
  }

  greet(): Buffer {
    return greeting()
  }

  answer(id: number): Buffer {
    const head = Buffer.concat([Buffer.from([0x88]), this.#encoder.field('content-type', 'application/grpc')])
    const messages = isStream(id) ? Array.from({ length: this.#tokens }, () => this.#token) : [this.#message]
    const trailers = Buffer.concat([this.#encoder.field('grpc-status', '0'), this.#encoder.field('grpc-message', '')])
    return Buffer.concat([
      frame(FRAME.HEADERS, FLAG.END_HEADERS, id, head),
      ...messages.map((message) => frame(FRAME.DATA, 0, id, message)),
      frame(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, id, trailers),
    ])
  }
}
