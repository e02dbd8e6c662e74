import { describe, expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { REQUEST, Side, settle } from '../testing/side.ts'
import { type HeaderField, headerField } from './header-field.ts'
import { ERROR, FLAG, FRAME, PREFACE } from './protocol.ts'
import type { Stream } from './stream.ts'

const pair = (step?: number): { client: Side; server: Side; settle(): void } => {
  const client = new Side('client')
  const server = new Side('server')
  settle(client, server, step)
  return { client, server, settle: () => settle(client, server, step) }
}

const open = (client: Side, fields: readonly HeaderField[] = REQUEST, end = false): Stream => {
  const stream = client.connection.open(fields, end)
  stream.sink = client.sink
  return stream
}

const frame = (type: number, flags: number, streamId: number, payload: readonly number[] | Buffer): Buffer => {
  const body = Buffer.from(payload)
  const head = Buffer.alloc(9)
  head.writeUIntBE(body.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(streamId, 5)
  return Buffer.concat([head, body])
}
const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}
const setting = (id: number, value: number): Buffer => frame(FRAME.SETTINGS, 0, 0, Buffer.concat([Buffer.from([0, id]), uint32(value)]))
/** A server that has been greeted, and a way to send it raw frames. */
const raw = (): { server: Side; send(...frames: Buffer[]): Side } => {
  const server = new Side('server')
  const send = (...frames: Buffer[]): Side => {
    const bytes = Buffer.concat(frames)
    server.hear(bytes)
    return server
  }
  send(Buffer.from(PREFACE), frame(FRAME.SETTINGS, 0, 0, []))
  return { server, send }
}
/** :method POST, :scheme http, :path / */
const HEADERS = (streamId: number, flags: number = FLAG.END_HEADERS): Buffer => frame(FRAME.HEADERS, flags, streamId, [0x83, 0x86, 0x84])

describe.each([[1], [2], [9], [13], [1_000], [Number.POSITIVE_INFINITY]])('with reads of %d bytes', (step) => {
  test('a request, its bytes, an answer and its trailers arrive whole', () => {
    const { client, server, settle: move } = pair(step)
    const stream = open(client)
    const body = Buffer.from(Array.from({ length: 50_000 }, (_, i) => i % 251))
    for (let at = 0; at < body.length; at += 20_000)
      stream.sendData(body, at, Math.min(body.length, at + 20_000), at + 20_000 >= body.length)
    move()
    const other = server.requests[0] as Stream
    expect(server.bytes.get(other)).toEqual(Uint8Array.from(body))
    other.sendHead([headerField(':status', '200')], false)
    other.sendData(body, 0, 30_000, false)
    other.sendTrailers([headerField('grpc-status', '0')])
    move()
    expect(client.heard).toEqual(['1 head 200', '1 trailers 0'])
    expect(client.bytes.get(stream)).toEqual(Uint8Array.from(body.subarray(0, 30_000)))
    expect([client.connection.streams.size, server.connection.streams.size]).toEqual([0, 0])
  })
})

test('small messages that follow one another leave in one frame', () => {
  const { client, server, settle: move } = pair()
  const stream = open(client)
  for (let i = 0; i < 100; i++) stream.sendData(Buffer.from([i]), 0, 1, i === 99)
  const before = server.shared.tally.framesIn
  move()
  expect(server.shared.tally.framesIn - before).toBeLessThanOrEqual(4)
  expect(server.bytes.get(server.requests[0] as Stream)).toEqual(Uint8Array.from({ length: 100 }, (_, i) => i))
  expect(server.heard.at(-1)).toBe('1 end')
})

test('a header block above one frame goes on in CONTINUATION, and arrives', () => {
  const { client, server, settle: move } = pair()
  open(client, [...REQUEST, headerField('x-a', 'a'.repeat(15_000)), headerField('x-b', 'b'.repeat(15_000))], true)
  move()
  expect(server.heard[0]).toContain('1 request POST')
})

describe('windows', () => {
  test('a window of one byte moves every byte', () => {
    const { server, send } = raw()
    send(setting(4, 1), HEADERS(1, FLAG.END_HEADERS | FLAG.END_STREAM))
    const stream = server.requests[0] as Stream
    stream.sendHead([headerField(':status', '200')], false)
    const body = Buffer.from('abcdefgh')
    let sent = stream.sendData(body, 0, body.length, false)
    expect(sent).toBe(1)
    expect(server.shared.tally.queuedBytes).toBe(7)
    for (let i = 0; i < 7; i++) send(frame(FRAME.WINDOW_UPDATE, 0, 1, uint32(1)))
    expect(server.shared.tally.queuedBytes).toBe(0)
    const frames = dataFrames(server.take())
    expect(Buffer.concat(frames)).toEqual(body)
    sent = stream.sendData(body, 0, 1, false)
    expect(sent).toBe(0)
  })

  test('a window that shrinks below what is open goes negative and recovers', () => {
    const { server, send } = raw()
    send(setting(4, 100), HEADERS(1))
    const stream = server.requests[0] as Stream
    stream.sendHead([headerField(':status', '200')], false)
    const body = Buffer.alloc(300, 9)
    stream.sendData(body, 0, 80, false)
    send(setting(4, 0))
    expect(stream.sendWindow).toBe(-80)
    expect(stream.sendData(body, 0, 300, false)).toBe(0)
    send(setting(4, 80))
    expect(stream.waitingBytes).toBe(300)
    send(setting(4, 1_000))
    expect(stream.waitingBytes).toBe(0)
  })

  test('trailers wait behind the bytes that wait', () => {
    const { server, send } = raw()
    send(setting(4, 0), HEADERS(1))
    const stream = server.requests[0] as Stream
    stream.sendHead([headerField(':status', '200')], false)
    stream.sendData(Buffer.from('xyz'), 0, 3, false)
    stream.sendTrailers([headerField('grpc-status', '0')])
    expect(
      framesOf(server.take())
        .filter((one) => one.streamId === 1)
        .map((one) => one.type),
    ).toEqual([FRAME.HEADERS])
    send(frame(FRAME.WINDOW_UPDATE, 0, 1, uint32(10)))
    expect(framesOf(server.take()).map((one) => [one.type, one.flags & FLAG.END_STREAM])).toEqual([
      [FRAME.DATA, 0],
      [FRAME.HEADERS, 1],
      [FRAME.RST_STREAM, 0], // the client had not half-closed
    ])
  })

  test('a socket that takes nothing counts as no credit, and streams drain in turn when it does', () => {
    const { server, send } = raw()
    send(setting(4, 1_000_000), frame(FRAME.WINDOW_UPDATE, 0, 0, uint32(2_000_000)), HEADERS(1), HEADERS(3))
    const [one, three] = server.requests as [Stream, Stream]
    server.take()
    server.connection.socketBacklog = limits.socketBacklogMax + 1
    const body = Buffer.alloc(40_000, 1)
    for (const stream of [one, three]) {
      stream.sendHead([headerField(':status', '200')], false)
      expect(stream.sendData(body, 0, body.length, false)).toBe(0)
    }
    server.connection.socketBacklog = 0
    server.connection.onSocketTook()
    const order = framesOf(server.take())
      .filter((frame) => frame.type === FRAME.DATA)
      .map((frame) => frame.streamId)
    expect(order).toEqual([1, 3, 1, 3, 1, 3])
    expect(server.shared.tally.queuedBytes).toBe(0)
  })

  test('credit goes back only as bytes leave: a sender is stopped at the window that it was given', () => {
    const { client, server, settle: move } = pair()
    server.hold = true
    const stream = open(client)
    const body = Buffer.alloc(400_000, 3)
    const sent = stream.sendData(body, 0, body.length, true)
    move()
    expect(sent).toBeLessThanOrEqual(limits.streamWindowStart)
    expect(server.bytes.get(server.requests[0] as Stream)?.length).toBe(limits.streamWindowStart)
    server.hold = false
    ;(server.requests[0] as Stream).returnCredit(limits.streamWindowStart, false)
    move()
    expect(server.bytes.get(server.requests[0] as Stream)?.length).toBe(400_000)
    expect(server.heard.at(-1)).toBe('1 end')
  })

  test('padding is stripped and DATA for a closed stream still returns connection credit', () => {
    const { server, send } = raw()
    send(HEADERS(1), frame(FRAME.DATA, FLAG.PADDED, 1, [3, 65, 66, 0, 0, 0]))
    expect(server.bytes.get(server.requests[0] as Stream)).toEqual(Uint8Array.from([65, 66]))
    ;(server.requests[0] as Stream).reset(ERROR.CANCEL)
    server.take()
    for (let i = 0; i < 300; i++) send(frame(FRAME.DATA, 0, 1, Buffer.alloc(16_384)))
    expect(framesOf(server.take()).some((one) => one.type === FRAME.WINDOW_UPDATE && one.streamId === 0)).toBe(true)
    expect(server.fatal).toBeUndefined()
  })

  test('a closed stream holds nothing', () => {
    const { server, send } = raw()
    send(setting(4, 0), HEADERS(1))
    const stream = server.requests[0] as Stream
    stream.sendHead([headerField(':status', '200')], false)
    stream.sendData(Buffer.alloc(5_000), 0, 5_000, true)
    send(frame(FRAME.RST_STREAM, 0, 1, uint32(ERROR.CANCEL)))
    expect([server.heard.at(-1), server.shared.tally.queuedBytes, stream.waitingBytes]).toEqual([`1 reset ${ERROR.CANCEL}`, 0, 0])
  })
})

test('GOAWAY gives back what the server has not looked at, and lets the rest finish', () => {
  const { client, settle: move } = pair()
  const [one, three] = [open(client), open(client)]
  move()
  const goaway = frame(FRAME.GOAWAY, 0, 0, Buffer.concat([uint32(one.id), uint32(0)]))
  client.connection.receive(goaway, goaway.length)
  expect(client.heard).toEqual([`${three.id} lost unprocessed`])
  expect([client.connection.canOpen, one.closed]).toEqual([false, false])
})

test('a lost connection tells every stream once', () => {
  const { client } = pair()
  open(client)
  open(client)
  client.connection.lose('broken')
  client.connection.lose('broken')
  expect(client.heard).toEqual(['1 lost broken', '3 lost broken'])
})

test('a server that allows few streams is believed, and one that names no number has no limit', () => {
  const client = new Side('client')
  expect(client.connection.peerStreamsMax).toBe(limits.upstreamStreamsAssumed)
  const few = setting(3, 1)
  client.connection.receive(few, few.length)
  open(client)
  expect(client.connection.canOpen).toBe(false)
  const other = new Side('client')
  const empty = frame(FRAME.SETTINGS, 0, 0, [])
  other.connection.receive(empty, empty.length)
  expect(other.connection.peerStreamsMax).toBeGreaterThan(1_000_000)
})

test('an informational head is passed over', () => {
  const { client, server, settle: move } = pair()
  open(client, REQUEST, true)
  move()
  const stream = server.requests[0] as Stream
  server.connection.output.headers(stream.id, [headerField(':status', '100')], false)
  stream.sendHead([headerField(':status', '200')], true)
  move()
  expect(client.heard).toEqual(['1 head 200 end'])
})

describe('a peer that breaks the protocol is told so and let go', () => {
  test.each([
    ['no preface', [Buffer.from('GET / HTTP/1.1\r\n\r\n')], ERROR.PROTOCOL_ERROR],
    ['a frame above the size', [frame(FRAME.HEADERS, 4, 1, Buffer.alloc(16_385))], ERROR.FRAME_SIZE_ERROR],
    ['DATA on stream 0', [frame(FRAME.DATA, 0, 0, [1])], ERROR.PROTOCOL_ERROR],
    ['DATA on an idle stream', [frame(FRAME.DATA, 0, 5, [1])], ERROR.PROTOCOL_ERROR],
    ['padding longer than its frame', [HEADERS(1), frame(FRAME.DATA, FLAG.PADDED, 1, [9, 1])], ERROR.PROTOCOL_ERROR],
    ['a block that HPACK cannot read', [frame(FRAME.HEADERS, 4, 1, [0x80])], ERROR.COMPRESSION_ERROR],
    ['a block that is interrupted', [HEADERS(1, 0), frame(FRAME.PING, 0, 0, Buffer.alloc(8))], ERROR.PROTOCOL_ERROR],
    ['CONTINUATION from nowhere', [frame(FRAME.CONTINUATION, 4, 1, [0x83])], ERROR.PROTOCOL_ERROR],
    [
      'a block without end',
      [HEADERS(1, 0), ...Array.from({ length: 9 }, () => frame(FRAME.CONTINUATION, 0, 1, [0x83]))],
      ERROR.ENHANCE_YOUR_CALM,
    ],
    ['an even stream', [HEADERS(2)], ERROR.PROTOCOL_ERROR],
    ['a reset of an idle stream', [frame(FRAME.RST_STREAM, 0, 7, uint32(8))], ERROR.PROTOCOL_ERROR],
    ['a window that overflows', [frame(FRAME.WINDOW_UPDATE, 0, 0, uint32(0x7fffffff))], ERROR.FLOW_CONTROL_ERROR],
    ['a window update of nothing', [frame(FRAME.WINDOW_UPDATE, 0, 0, uint32(0))], ERROR.PROTOCOL_ERROR],
    ['an initial window out of range', [setting(4, 0x80000000)], ERROR.FLOW_CONTROL_ERROR],
    ['a ping of seven bytes', [frame(FRAME.PING, 0, 0, Buffer.alloc(7))], ERROR.FRAME_SIZE_ERROR],
    ['settings of five bytes', [frame(FRAME.SETTINGS, 0, 0, Buffer.alloc(5))], ERROR.FRAME_SIZE_ERROR],
    ['a push', [frame(FRAME.PUSH_PROMISE, 4, 1, Buffer.alloc(8))], ERROR.PROTOCOL_ERROR],
    ['pings without end', Array.from({ length: 1_001 }, () => frame(FRAME.PING, 0, 0, Buffer.alloc(8))), ERROR.ENHANCE_YOUR_CALM],
    ['empty DATA without end', [HEADERS(1), ...Array.from({ length: 1_100 }, () => frame(FRAME.DATA, 0, 1, []))], ERROR.ENHANCE_YOUR_CALM],
  ])('%s', (name, frames, code) => {
    const side = name === 'no preface' ? new Side('server') : raw().server
    for (const bytes of frames) side.connection.receive(bytes, bytes.length)
    expect(side.fatal?.split(' ')[0]).toBe(String(code))
    expect(side.connection.dead).toBe(true)
    const goaway = framesOf(side.take()).at(-1)
    expect([goaway?.type, goaway?.payload.readUInt32BE(4)]).toEqual([FRAME.GOAWAY, code])
  })

  test('too many resets in a burst', () => {
    const { server, send } = raw()
    for (let i = 0; i <= limits.resetBurst; i++) send(HEADERS(1 + 2 * i), frame(FRAME.RST_STREAM, 0, 1 + 2 * i, uint32(8)))
    expect(server.fatal).toBe(`${ERROR.ENHANCE_YOUR_CALM} too many resets`)
    expect(server.shared.tally.guards['rapid-reset']).toBe(1)
  })

  test('a stream above the limit is refused, its block decoded, and the connection lives', () => {
    const { server, send } = raw()
    for (let i = 0; i < limits.downstreamStreamsMax; i++) send(HEADERS(1 + 2 * i))
    server.take()
    send(HEADERS(5_001))
    const reset = framesOf(server.take()).at(-1)
    expect([reset?.type, reset?.payload.readUInt32BE(0), server.fatal]).toEqual([FRAME.RST_STREAM, ERROR.REFUSED_STREAM, undefined])
  })
})

describe('a body whose length was stated', () => {
  const LENGTH_3 = (): { server: Side; send(...frames: Buffer[]): Side; stream: Stream } => {
    const { server, send } = raw()
    send(HEADERS(1))
    const stream = server.requests[0] as Stream
    stream.expectBody(3)
    return { server, send, stream }
  }
  const data = (text: string, flags: number): Buffer => frame(FRAME.DATA, flags, 1, Buffer.from(text))
  const trailers = frame(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, 1, Buffer.from([0, 1, 0x78, 1, 0x79]))

  test.each([
    ['in one frame', [data('abc', FLAG.END_STREAM)], '1 end'],
    ['in pieces, and an end of its own', [data('a', 0), data('bc', 0), data('', FLAG.END_STREAM)], '1 end'],
    ['before trailers', [data('abc', 0), trailers], '1 trailers y'],
    ['too long', [data('abcd', 0)], '1 lost protocol'],
    ['too long at its end', [data('ab', 0), data('cd', FLAG.END_STREAM)], '1 lost protocol'],
    ['too short', [data('ab', FLAG.END_STREAM)], '1 lost protocol'],
    ['too short before trailers', [data('ab', 0), trailers], '1 lost protocol'],
  ])('%s', (_what, frames, heard) => {
    const { server, send } = LENGTH_3()
    send(...frames)
    expect(server.heard.at(-1)).toBe(heard)
    expect(server.fatal).toBeUndefined()
  })
})

describe('a client that goes on behind its end', () => {
  const END = FLAG.END_HEADERS | FLAG.END_STREAM
  const answered = (): { server: Side; send(...frames: Buffer[]): Side } => {
    const { server, send } = raw()
    send(HEADERS(3, END))
    ;(server.requests[0] as Stream).sendHead([headerField(':status', '200')], true)
    return { server, send }
  }

  test.each([
    ['DATA', [frame(FRAME.DATA, 0, 3, [1])], ERROR.STREAM_CLOSED],
    ['HEADERS', [HEADERS(3, END)], ERROR.STREAM_CLOSED],
    ['a stream that it passed over', [HEADERS(1, END)], ERROR.PROTOCOL_ERROR],
    ['DATA behind its reset', [HEADERS(5), frame(FRAME.RST_STREAM, 0, 5, uint32(8)), frame(FRAME.DATA, 0, 5, [1])], ERROR.STREAM_CLOSED],
  ])('%s ends the connection', (_what, frames, code) => {
    const { server, send } = answered()
    send(...frames)
    expect(server.fatal?.split(' ')[0]).toBe(String(code))
  })

  test('what was under way when we reset the stream is passed over', () => {
    const { server, send } = raw()
    send(HEADERS(1))
    ;(server.requests[0] as Stream).reset(ERROR.CANCEL)
    send(frame(FRAME.DATA, 0, 1, [1]), HEADERS(1, END), frame(FRAME.WINDOW_UPDATE, 0, 1, uint32(9)))
    expect(server.fatal).toBeUndefined()
  })
})

describe('a reader that lets answers lie', () => {
  const slow = (streams: number, bytes: number): { server: Side; send(...frames: Buffer[]): Side } => {
    const { server, send } = raw()
    send(setting(4, 0), ...Array.from({ length: streams }, (_, i) => HEADERS(1 + 2 * i)))
    for (const stream of server.requests) {
      stream.sendHead([headerField(':status', '200')], false)
      stream.sendData(Buffer.alloc(bytes), 0, bytes, false)
    }
    return { server, send }
  }
  const seconds = limits.stalledStreamMax / 1_000

  test('has its time for each of them, and then they are reset', () => {
    const { server } = slow(2, 100)
    for (let i = 0; i < seconds; i++) server.connection.everySecond()
    expect(server.connection.streams.size).toBe(2)
    server.connection.everySecond()
    expect(server.heard.slice(-2)).toEqual(['1 lost protocol', '3 lost protocol'])
    expect([server.fatal, server.shared.tally.queuedBytes, server.shared.tally.guards['stalled-stream']]).toEqual([undefined, 0, 2])
  })

  test('keeps a stream from which it takes a frame now and then, and loses one that it draws out byte by byte', () => {
    const { server, send } = slow(2, 90_000)
    for (let i = 0; i <= 2 * seconds; i++) {
      server.connection.everySecond()
      if (i % (seconds - 1) === 0) send(frame(FRAME.WINDOW_UPDATE, 0, 1, uint32(limits.frameSizeMax)))
      send(frame(FRAME.WINDOW_UPDATE, 0, 3, uint32(1)))
      server.take()
    }
    expect([...server.connection.streams.keys()]).toEqual([1])
  })

  test('holds so much in all: the largest streams are given up at the end of the turn', () => {
    const streams = Math.ceil(limits.waitingMax / 90_000) + 3
    const { server } = slow(streams, 90_000)
    server.connection.shed()
    expect(server.connection.waitingBytes).toBeLessThanOrEqual(limits.waitingMax)
    expect(server.shared.tally.guards['waiting-bytes']).toBe(streams - Math.floor(limits.waitingMax / 90_000))
    expect(server.fatal).toBeUndefined()
  })
})

describe('a server that only costs', () => {
  const informational = frame(FRAME.HEADERS, FLAG.END_HEADERS, 1, Buffer.from([0x08, 3, 0x31, 0x30, 0x33]))
  test.each([
    ['pings', frame(FRAME.PING, 0, 0, Buffer.alloc(8))],
    ['settings', setting(4, 70_000)],
    ['window updates', frame(FRAME.WINDOW_UPDATE, 0, 0, uint32(1))],
    ['heads that announce a head', informational],
    ['frames of no known type', frame(0x77, 0, 0, [])],
    ['acknowledgements of nothing', frame(FRAME.SETTINGS, FLAG.ACK, 0, [])],
  ])('is left: %s', (_what, bytes) => {
    const { client } = pair()
    open(client)
    for (let i = 0; i < 2 * limits.cheapFramesBurst && client.fatal === undefined; i++) {
      client.connection.receive(bytes, bytes.length)
      client.connection.onSocketTook()
    }
    expect(client.fatal?.split(' ')[0]).toBe(String(ERROR.ENHANCE_YOUR_CALM))
  })

  test('an answer that does not hold to its length is broken', () => {
    const { client, settle: move } = pair()
    open(client)
    move()
    const bytes = Buffer.concat([
      frame(FRAME.HEADERS, FLAG.END_HEADERS, 1, [0x88, 0x0f, 13, 1, 0x33]),
      frame(FRAME.DATA, 0, 1, [1, 2]),
      frame(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, 1, [0, 1, 0x78, 1, 0x79]),
    ])
    client.connection.receive(bytes, bytes.length)
    expect(client.heard).toEqual(['1 head 200,3', '1 lost protocol'])
  })

  test('an answer without a status, or with fields of a request, is no answer', () => {
    const length = [0x0f, 13, 1, 0x61]
    for (const block of [[0x83], [0x88, 0x84], [0x88, ...length]]) {
      const { client, settle: move } = pair()
      open(client)
      move()
      const bytes = frame(FRAME.HEADERS, FLAG.END_HEADERS, 1, block)
      client.connection.receive(bytes, bytes.length)
      expect(client.heard).toEqual(['1 lost protocol'])
    }
  })
})

test('random bytes behind a greeting never throw, and never hold more than a window', () => {
  let seed = 99
  const next = (): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
    return seed >>> 8
  }
  for (let round = 0; round < 3_000; round++) {
    const { server, send } = raw()
    for (let i = 0; i < 12 && server.fatal === undefined; i++) {
      const payload = Buffer.from(Array.from({ length: next() % 30 }, () => next() & 0xff))
      send(next() % 3 === 0 ? HEADERS(1 + 2 * (next() % 4)) : frame(next() % 11, next() & 0xff, next() % 9, payload))
    }
    expect(server.shared.tally.queuedBytes).toBe(0)
  }
})

type Frame = { readonly type: number; readonly flags: number; readonly streamId: number; readonly payload: Buffer }

function framesOf(taken: Uint8Array): Frame[] {
  const bytes = Buffer.from(taken)
  const frames: Frame[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUIntBE(at, 3)
    frames.push({
      type: bytes[at + 3] as number,
      flags: bytes[at + 4] as number,
      streamId: bytes.readUInt32BE(at + 5),
      payload: bytes.subarray(at + 9, at + 9 + length),
    })
    at += 9 + length
  }
  return frames
}

const dataFrames = (bytes: Uint8Array): Buffer[] =>
  framesOf(bytes)
    .filter((one) => one.type === FRAME.DATA)
    .map((one) => one.payload)
