/** The decoder against an encoder that is not ours (nghttp2, as node:http2 has it), and against bytes that nobody encoded. */
import { type ClientHttp2Session, connect, type OutgoingHttpHeaders, performServerHandshake, sensitiveHeaders } from 'node:http2'
import { duplexPair } from 'node:stream'
import { expect, test } from 'vitest'
import { REQUEST, Side } from '../testing/side.ts'
import { blockLength, writeBlock } from './header-block.ts'
import { type HeaderField, headerField, valueText } from './header-field.ts'
import { HpackDecoder } from './hpack-decoder.ts'
import { FLAG, FRAME, FRAME_HEAD, PREFACE, SETTING } from './protocol.ts'

const LIMITS = { listSizeMax: 65_536, fieldsMax: 256 }
const REQUESTS = 300

type Draw = (limit: number) => number

/** Numbers below `limit`, the same at each run. */
function draws(seed: number): Draw {
  let state = seed
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
}

const pick = <T>(draw: Draw, list: readonly T[]): T => list[draw(list.length)] as T

const NAMES = [
  'user-agent',
  'content-type',
  'accept',
  'grpc-timeout',
  'traceparent',
  'authorization',
  'cache-control',
  'grpc-accept-encoding',
]
const VISIBLE = Array.from({ length: 94 }, (_, i) => String.fromCharCode(0x21 + i))
const BEYOND = Array.from({ length: 128 }, (_, i) => String.fromCharCode(0x80 + i))

function randomValue(draw: Draw): string {
  const letters = draw(4) === 0 ? BEYOND : VISIBLE
  return Array.from({ length: draw(draw(30) === 0 ? 3_000 : 40) }, () => pick(draw, letters)).join('')
}

function randomHead(draw: Draw): OutgoingHttpHeaders {
  const head: OutgoingHttpHeaders = { ':method': 'POST', ':scheme': 'http', ':path': `/${draw(5)}`, ':authority': `host-${draw(3)}:7400` }
  for (const name of NAMES) if (draw(2) === 0) head[name] = draw(3) === 0 ? `v${randomValue(draw)}` : `usual-${draw(4)}`
  for (let i = draw(6); i > 0; i--) head[`x-${draw(500)}`] = draw(3) === 0 ? [randomValue(draw), randomValue(draw)] : randomValue(draw)
  head['x-secret'] = randomValue(draw)
  head[sensitiveHeaders as unknown as string] = ['x-secret'] as string[]
  return head
}

const linesOf = (head: OutgoingHttpHeaders): string[] =>
  Object.entries(head).flatMap(([name, value]) => [value].flat().map((one) => `${name}: ${one}`))

/** Whole header blocks out of what a client sends, in order. */
function headerBlocks(sent: Uint8Array): Buffer[] {
  const blocks: Buffer[] = []
  const view = Buffer.from(sent)
  for (let at = PREFACE.length; at + FRAME_HEAD <= view.length; ) {
    const length = view.readUIntBE(at, 3)
    const type = view[at + 3]
    const body = view.subarray(at + FRAME_HEAD, at + FRAME_HEAD + length)
    if (body.length < length) break
    const priority = type === FRAME.HEADERS && ((view[at + 4] ?? 0) & FLAG.PRIORITY) !== 0 ? 5 : 0
    if (type === FRAME.HEADERS) blocks.push(body.subarray(priority))
    if (type === FRAME.CONTINUATION) blocks.push(Buffer.concat([blocks.pop() ?? Buffer.alloc(0), body]))
    at += FRAME_HEAD + length
  }
  return blocks
}

function settingsFrame(values: readonly (readonly [id: number, value: number])[]): Buffer {
  const frame = Buffer.alloc(FRAME_HEAD + 6 * values.length)
  frame.writeUIntBE(6 * values.length, 0, 3)
  frame[3] = FRAME.SETTINGS
  for (const [i, [id, value]] of values.entries()) {
    frame.writeUInt16BE(id, FRAME_HEAD + 6 * i)
    frame.writeUInt32BE(value, FRAME_HEAD + 6 * i + 2)
  }
  return frame
}

/** What a client of nghttp2 writes for these heads, towards a server of this table size. */
async function encode(heads: readonly OutgoingHttpHeaders[], tableSize: number): Promise<Buffer[]> {
  const [near, far] = duplexPair()
  let sent = Buffer.alloc(0)
  const enough = Promise.withResolvers<Buffer[]>()
  far.on('data', (chunk: Buffer) => {
    sent = Buffer.concat([sent, chunk])
    const blocks = headerBlocks(sent)
    if (blocks.length === heads.length) enough.resolve(blocks)
  })
  const session: ClientHttp2Session = connect('http://localhost', { createConnection: () => near })
  const settled = new Promise((resolve) => session.once('remoteSettings', resolve))
  far.write(
    settingsFrame([
      [SETTING.HEADER_TABLE_SIZE, tableSize],
      [SETTING.MAX_CONCURRENT_STREAMS, 1_000_000],
    ]),
  )
  await settled
  try {
    for (const head of heads) session.request(head).on('error', () => {})
    return await enough.promise
  } finally {
    session.destroy()
    far.destroy()
  }
}

test.each([
  [1, 4096],
  [2, 4096],
  [3, 1024],
  [4, 200],
  [5, 0],
])('what nghttp2 encodes is read as it was meant, and forwarded heads read the same (seed %i, table of %i)', async (seed, tableSize) => {
  const draw = draws(seed)
  const heads = Array.from({ length: REQUESTS }, () => randomHead(draw))
  const blocks = await encode(heads, tableSize)
  const decoder = new HpackDecoder(tableSize, LIMITS)
  const ofForwarded = new HpackDecoder(4096, LIMITS)
  for (const [i, block] of blocks.entries()) {
    const fields: HeaderField[] = []
    expect(decoder.decode(block, 0, block.length, fields)).toBe('ok')
    expect(fields.map((field) => `${field.name}: ${valueText(field)}`)).toEqual(linesOf(heads[i] ?? {}))
    expect(fields.filter((field) => field.name === 'x-secret').map((field) => field.neverIndexed)).toEqual([true])

    const forwarded = new Uint8Array(blockLength(fields))
    writeBlock(fields, forwarded, 0)
    const again: HeaderField[] = []
    expect(ofForwarded.decode(forwarded, 0, forwarded.length, again)).toBe('ok')
    expect(again.map((field) => [field.name, valueText(field), field.neverIndexed])).toEqual(
      fields.map((field) => [field.name, valueText(field), field.neverIndexed]),
    )
  }
})

test.each([0, 200, 4_096])('nghttp2 with a table of %i takes our heads, before and after we know of it', async (headerTableSize) => {
  const [near, far] = duplexPair()
  const paths: unknown[] = []
  const both = Promise.withResolvers<void>()
  const session = performServerHandshake(far, { settings: { headerTableSize } })
  session.on('stream', (_stream, head) => {
    paths.push(head[':path'])
    if (paths.length === 2) both.resolve()
  })
  session.on('error', both.reject)
  const client = new Side('client')
  const head = [...REQUEST.slice(0, 3), headerField(':authority', 'host')]
  let opened = 0
  near.on('data', (bytes: Buffer) => {
    client.connection.receive(bytes, bytes.length)
    if (client.connection.settled && opened++ === 0) client.connection.open(head, true)
    near.write(client.take())
  })
  client.connection.open(head, true)
  near.write(client.take())
  await both.promise
  expect(paths).toEqual(['/a/b', '/a/b'])
  session.destroy()
  near.destroy()
})

test('no bytes make the decoder throw, and what it hands out is within its limits', { timeout: 60_000 }, () => {
  const draw = draws(2026)
  const limits = { listSizeMax: 2_000, fieldsMax: 20 }
  const results = { ok: 0, 'too-large': 0, malformed: 0, broken: 0 }
  const shapers: readonly ((byte: number) => number)[] = [
    (byte) => byte,
    (byte) => (draw(30) === 0 ? byte : 0x82 + (byte % 60)), // mostly references
    (byte) => (draw(3) === 0 ? byte & 0x0f : 0x61 + (byte % 26)), // mostly literals with lengths at hand
  ]
  let decoder = new HpackDecoder(256, limits)
  for (let i = 0; i < 100_000; i++) {
    const shape = pick(draw, shapers)
    const block = Uint8Array.from({ length: draw(60) }, () => shape(draw(256)))
    const fields: HeaderField[] = []
    const result = decoder.decode(block, 0, block.length, fields)
    results[result]++
    if (fields.length > limits.fieldsMax || fields.reduce((sum, field) => sum + field.size, 0) > limits.listSizeMax)
      expect.unreachable(`block ${Buffer.from(block).toString('hex')} is handed out beyond the limits`)
    if (result === 'broken') decoder = new HpackDecoder(256, limits)
  }
  for (const [result, count] of Object.entries(results)) expect(count, result).toBeGreaterThan(100)
})

test('a legal block with one byte changed or its end cut off never throws', { timeout: 60_000 }, async () => {
  const draw = draws(7541)
  const blocks = await encode(
    Array.from({ length: 50 }, () => randomHead(draw)),
    4096,
  )
  for (const block of blocks)
    for (let i = 0; i < 200; i++) {
      const changed = Buffer.from(block)
      changed[draw(block.length)] = draw(256)
      const end = draw(3) === 0 ? draw(block.length) : block.length
      expect(['ok', 'too-large', 'malformed', 'broken']).toContain(new HpackDecoder(4096, LIMITS).decode(changed, 0, end, []))
    }
})
