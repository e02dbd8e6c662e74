/**
 * Ways to hurt a proxy with a single connection, each as one wave: what is sent until the proxy ends it, or until so much was taken that it never will.
 * `lifts` names the bounds in core/limits.ts without which the wave goes through.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { splitHostPort } from '../../core/edge/listen.ts'
import type { Guard } from '../../data-plane/http2/guard.ts'
import { PREFACE } from '../../data-plane/http2/protocol.ts'
import { TEST_SERVICE } from './proxy.ts'
import { connectRaw, ERROR, encodeFields, FLAG, FRAME, frameOf, grpcRequest, type RawPeer, SETTING, uint32 } from './raw-h2.ts'

export type Attack = {
  readonly name: string
  readonly guards: readonly Guard[]
  /** Each set, lifted, lets the attack through. */
  readonly lifts: readonly (readonly string[])[]
  /** Resolves to what is wrong with the proxy's answer; undefined when it defended itself. */
  wave(to: string): Promise<string | undefined>
}

/** Answers `BIG_BYTES` to one and nothing, ever, to the other. */
export const BIG = `${TEST_SERVICE}Big`
export const SILENT = `${TEST_SERVICE}Silent`
export const BIG_BYTES = 262_144

const FRAMES_A_TURN = 200
/** Far above every burst that a guard allows. */
const FRAMES_MAX = 12_000
const PATIENCE_MS = 20_000

const request = (id: number, path: string, end: boolean): Buffer =>
  frameOf(FRAME.HEADERS, FLAG.END_HEADERS | (end ? FLAG.END_STREAM : 0), id, encodeFields(grpcRequest(path)))

/** Sends what `make` says, a few frames a turn and no faster than they are taken, until the connection ends. */
async function flood(peer: RawPeer, make: (at: number) => Buffer, most = FRAMES_MAX): Promise<void> {
  for (let at = 0; at < most && !peer.over; ) {
    const frames: Buffer[] = []
    for (const end = at + FRAMES_A_TURN; at < end; at++) frames.push(make(at))
    if (!peer.socket.write(Buffer.concat(frames))) await drained(peer)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

const drained = (peer: RawPeer): Promise<unknown> =>
  Promise.race([
    peer.closed,
    new Promise((resolve) => peer.socket.once('drain', resolve)),
    new Promise((resolve) => setTimeout(resolve, PATIENCE_MS).unref()),
  ])

/** The proxy is to have ended the connection, and to have said why when its words could be read. */
async function ended(peer: RawPeer): Promise<string | undefined> {
  const inTime = await Promise.race([
    peer.closed.then(() => true),
    new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, false).unref()),
  ])
  peer.close()
  if (inTime !== true) return 'the connection lives on'
  const goaway = peer.frames.find((frame) => frame.type === FRAME.GOAWAY)
  const code = goaway?.payload.readUInt32BE(4)
  return code === undefined || code === ERROR.ENHANCE_YOUR_CALM ? undefined : `ended by GOAWAY ${code}`
}

type Play = (peer: RawPeer) => Promise<string | undefined>

const attack = (
  name: string,
  guard: Guard,
  limit: readonly string[],
  play: Play,
  settings: Readonly<Record<number, number>> = {},
): Attack => ({
  name,
  guards: [guard],
  lifts: [limit],
  wave: async (to) => {
    const peer = await connectRaw(to, settings)
    try {
      await peer.barrier()
      peer.frames.length = 0
      return await play(peer)
    } finally {
      peer.close()
    }
  },
})

const flooded = (make: (at: number) => Buffer, before: (peer: RawPeer) => void = () => {}): Play => {
  return async (peer) => {
    before(peer)
    await flood(peer, make)
    return ended(peer)
  }
}

const CHEAP = ['cheapFramesBurst']
const idOf = (at: number): number => 2 * at + 1
const setting = (at: number): Buffer => Buffer.concat([Buffer.of(0, SETTING.INITIAL_WINDOW_SIZE), uint32(60_000 + (at % 100))])

/** A head whose fields refer again and again to one long entry, or are many and tiny. */
function bomb(id: number, field: Buffer, times: number): Buffer {
  const entry = Buffer.concat([Buffer.of(0x40, 1, 0x78), Buffer.of(0x7f, 0xa1, 0x1e), Buffer.alloc(4_000, 0x61)])
  const block = Buffer.concat([encodeFields(grpcRequest(SILENT)), entry, ...Array.from({ length: times }, () => field)])
  const frames: Buffer[] = []
  for (let at = 0; at < block.length; at += 16_384) {
    const flags = (at === 0 ? FLAG.END_STREAM : 0) | (at + 16_384 >= block.length ? FLAG.END_HEADERS : 0)
    frames.push(frameOf(at === 0 ? FRAME.HEADERS : FRAME.CONTINUATION, flags, id, block.subarray(at, at + 16_384)))
  }
  return Buffer.concat(frames)
}

function bombed(field: Buffer, times: number): Play {
  return async (peer) => {
    peer.socket.write(bomb(1, field, times))
    await peer.until('an answer', () => peer.frames.some((frame) => frame.id === 1))
    const head = peer.frames.find((frame) => frame.id === 1)
    return head?.fields['grpc-status'] === '8' ? undefined : `the head was taken: ${JSON.stringify(head?.fields)}`
  }
}

export const ATTACKS: readonly Attack[] = [
  attack('rapid reset', 'rapid-reset', ['resetBurst'], async (peer) => {
    await flood(
      peer,
      (at) => Buffer.concat([request(idOf(at), SILENT, true), frameOf(FRAME.RST_STREAM, 0, idOf(at), uint32(ERROR.CANCEL))]),
      4_000,
    )
    return ended(peer)
  }),
  attack('resets that the proxy is made to send', 'provoked-reset', ['resetBurst'], async (peer) => {
    const provoked = [
      (id: number) => Buffer.concat([request(id, SILENT, false), frameOf(FRAME.WINDOW_UPDATE, 0, id, uint32(0))]),
      (id: number) => Buffer.concat([request(id, SILENT, false), frameOf(FRAME.WINDOW_UPDATE, 0, id, uint32(0x7fffffff))]),
      (id: number) => Buffer.concat([request(id, SILENT, true), frameOf(FRAME.DATA, 0, id, Buffer.of(0))]),
      (id: number) =>
        frameOf(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, id, encodeFields([...grpcRequest(SILENT), ['content-length', '9']])),
    ]
    await flood(peer, (at) => (provoked[at % provoked.length] ?? provoked[0])?.(idOf(at)) ?? Buffer.alloc(0), 4_000)
    return ended(peer)
  }),
  attack('a header block without end', 'continuation-flood', ['continuationsMax', 'headerListMax'], async (peer) => {
    peer.send(FRAME.HEADERS, 0, 1, encodeFields(grpcRequest(SILENT)))
    await flood(peer, () => frameOf(FRAME.CONTINUATION, 0, 1, Buffer.of(0, 1, 0x78, 1, 0x79)))
    return ended(peer)
  }),
  attack('a head that unfolds to megabytes', 'header-list', ['headerListMax', 'headerFieldsMax'], bombed(Buffer.of(0xbe), 40_000)),
  attack('a head of tiny fields', 'header-list', ['headerFieldsMax', 'headerListMax'], bombed(Buffer.of(0, 1, 0x78, 0), 10_000)),
  attack(
    'SETTINGS',
    'settings-flood',
    CHEAP,
    flooded((at) => frameOf(FRAME.SETTINGS, 0, 0, setting(at))),
  ),
  attack(
    'PING',
    'ping-flood',
    CHEAP,
    flooded(() => frameOf(FRAME.PING, 0, 0, Buffer.alloc(8))),
  ),
  attack(
    'WINDOW_UPDATE',
    'window-update-flood',
    CHEAP,
    flooded(() => frameOf(FRAME.WINDOW_UPDATE, 0, 0, uint32(1))),
  ),
  attack(
    'PRIORITY',
    'priority-flood',
    CHEAP,
    flooded((at) => frameOf(FRAME.PRIORITY, 0, idOf(at), Buffer.of(0, 0, 0, 0, 1))),
  ),
  attack(
    'empty DATA',
    'empty-frame-flood',
    CHEAP,
    flooded(
      () => frameOf(FRAME.DATA, 0, 1),
      (peer) => peer.socket.write(request(1, SILENT, false)),
    ),
  ),
  attack(
    'frames of no known type',
    'stray-frame-flood',
    CHEAP,
    flooded(() => frameOf(0x42, 0, 0, Buffer.from('noise'))),
  ),
  attack(
    'an answer drawn out byte by byte',
    'window-update-flood',
    CHEAP,
    async (peer) => {
      peer.socket.write(request(1, BIG, true))
      await peer.wait('a head', (frame) => frame.type === FRAME.HEADERS)
      await flood(peer, () => frameOf(FRAME.WINDOW_UPDATE, 0, 1, uint32(1)))
      return ended(peer)
    },
    { [SETTING.INITIAL_WINDOW_SIZE]: 0 },
  ),
  attack(
    'answers that the windows hold back',
    'waiting-bytes',
    ['waitingMax'],
    async (peer) => {
      for (let at = 0; at < 1_000; at++) peer.socket.write(request(idOf(at), BIG, true))
      await peer.until('streams given up', () => peer.frames.filter((frame) => frame.type === FRAME.RST_STREAM).length >= 300)
      const calm = peer.frames.every(
        (frame) => frame.type !== FRAME.RST_STREAM || frame.payload.readUInt32BE(0) === ERROR.ENHANCE_YOUR_CALM,
      )
      return calm ? undefined : 'a stream was reset for another reason'
    },
    { [SETTING.INITIAL_WINDOW_SIZE]: 0 },
  ),
  attack('answers that nobody reads', 'unread-output', ['unreadOutputMax', 'unreadSocketMax'], async (peer) => {
    peer.socket.pause()
    const block = encodeFields(grpcRequest('/nobody/serves'))
    await flood(peer, (at) => frameOf(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, idOf(at), block), 200_000)
    return ended(peer)
  }),
]

/** One connection that is slow in its own way. */
type Begin = (peer: RawPeer) => void

const everyHalfSecond = (peer: RawPeer, write: () => void): void => {
  const timer = setInterval(write, 500)
  void peer.closed.then(() => clearInterval(timer))
}

const byteByByte: Begin = (peer) => {
  const frame = frameOf(FRAME.HEADERS, FLAG.END_HEADERS, 1, encodeFields(grpcRequest(SILENT)))
  let at = 0
  everyHalfSecond(peer, () => (at < frame.length - 1 ? peer.socket.write(frame.subarray(at, ++at)) : undefined))
}

const withoutContinuation: Begin = (peer) => peer.send(FRAME.HEADERS, 0, 1, encodeFields(grpcRequest(SILENT)))

/** The windows are wide open, and the socket is not read. What it still writes makes the kernel tell it of the end. */
const unread: Begin = (peer) => {
  peer.settings({ [SETTING.INITIAL_WINDOW_SIZE]: 0x7fffffff })
  peer.windowUpdate(0, 0x7fff0000 - 65_535)
  peer.socket.pause()
  for (let at = 0; at < 100; at++) peer.socket.write(request(idOf(at), BIG, true))
  everyHalfSecond(peer, () => peer.send(FRAME.PING, 0, 0, Buffer.alloc(8)))
}

/** The first bytes of the preface, and no more. */
function greetOnly(to: string): Socket {
  const socket = connect(splitHostPort(to))
  socket.on('error', () => {})
  socket.resume()
  socket.write(PREFACE.slice(0, 10))
  return socket
}

const CONNECTIONS_EACH = 30
const UNREAD_CONNECTIONS = 3
const SLOW_PATIENCE_MS = 60_000

/** Many connections at once, each of which takes its time. */
export const SLOW_ATTACK: Attack = {
  name: 'connections that begin and never end',
  guards: ['slow-handshake', 'slow-headers', 'unread-output'],
  lifts: [['headersTimeout'], ['unreadSocketMax']],
  wave: async (to) => {
    const peers: RawPeer[] = []
    const greetings: Socket[] = []
    const open = async (begin: Begin): Promise<void> => {
      const peer = await connectRaw(to)
      peers.push(peer)
      await peer.barrier()
      begin(peer)
    }
    try {
      for (let at = 0; at < CONNECTIONS_EACH; at++) {
        await open(byteByByte)
        await open(withoutContinuation)
        if (at < UNREAD_CONNECTIONS) await open(unread)
        greetings.push(greetOnly(to))
      }
      const late = new Promise<string>((resolve) => setTimeout(resolve, SLOW_PATIENCE_MS, 'late').unref())
      const all = [...peers.map((peer) => peer.closed), ...greetings.map((socket) => socket.closed || once(socket, 'close'))]
      if ((await Promise.race([Promise.all(all), late])) !== 'late') return undefined
      return `${peers.filter((peer) => !peer.over).length + greetings.filter((socket) => !socket.closed).length} connections live on`
    } finally {
      for (const peer of peers) peer.close()
      for (const socket of greetings) socket.destroy()
    }
  },
}
