/** What no peer may do, by RFC 9113 and RFC 7541, one row each, and how far the damage must reach: the connection ends, or at least the stream does. */
import { limits } from '../../core/limits.ts'
import type { Role } from '../../data-plane/http2/connection-events.ts'
import type { Draw } from './draw.ts'
import type { Lane } from './engine-lane.ts'
import type { Peer } from './engine-peer.ts'
import { WINDOW_MAX } from './engine-settings.ts'
import * as wire from './frames.ts'
import { informationalLines, requestLines, trailerLines } from './random-head.ts'

export type Violation = {
  readonly name: string
  readonly ends: 'connection' | 'stream'
  /** Answers the stream that it was done to; undefined where it cannot be done now. */
  commit(scene: Scene): Lane | 'done' | undefined
}

export type Scene = {
  readonly peer: Peer
  readonly role: Role
  readonly draw: Draw
  /** One on which the peer may send a body; one that the peer has ended and the engine not. */
  readonly sending: Lane | undefined
  readonly halfClosed: Lane | undefined
  /** One that waits for its response head. */
  readonly unanswered: Lane | undefined
  /** A stream that the peer may open next; only towards a server. */
  newLane(): Lane
}

const NOTHING = Buffer.alloc(0)
/** Never reached by a case. */
const IDLE = 0x100001

/** Frames that are wrong whatever came before: type, flags, stream, payload. */
const FRAMES: readonly (readonly [name: string, type: number, flags: number, id: number, payload: Uint8Array])[] = [
  ['DATA on stream 0', wire.DATA, 0, 0, Buffer.alloc(3)],
  ['empty DATA on stream 0', wire.DATA, wire.END_STREAM, 0, NOTHING],
  ['HEADERS on stream 0', wire.HEADERS, wire.END_HEADERS, 0, Buffer.from([0x82])],
  ['PRIORITY on stream 0', wire.PRIORITY, 0, 0, Buffer.alloc(5)],
  ['RST_STREAM on stream 0', wire.RST_STREAM, 0, 0, Buffer.alloc(4)],
  ['RST_STREAM of three bytes', wire.RST_STREAM, 0, 1, Buffer.alloc(3)],
  ['RST_STREAM on an idle stream', wire.RST_STREAM, 0, IDLE, Buffer.alloc(4)],
  ['DATA on an idle stream', wire.DATA, 0, IDLE, Buffer.alloc(4)],
  ['DATA on a stream that only the other side could open', wire.DATA, 0, 2, Buffer.alloc(4)],
  ['WINDOW_UPDATE on an idle stream', wire.WINDOW_UPDATE, 0, IDLE, wire.number32(1)],
  ['WINDOW_UPDATE of five bytes', wire.WINDOW_UPDATE, 0, 0, Buffer.alloc(5)],
  ['WINDOW_UPDATE of 0', wire.WINDOW_UPDATE, 0, 0, wire.number32(0)],
  ['SETTINGS on a stream', wire.SETTINGS, 0, 1, NOTHING],
  ['SETTINGS of five bytes', wire.SETTINGS, 0, 0, Buffer.alloc(5)],
  ['an acknowledgement that says something', wire.SETTINGS, wire.ACK, 0, Buffer.alloc(6)],
  ['INITIAL_WINDOW_SIZE out of range', wire.SETTINGS, 0, 0, wire.settingsPayload([[4, WINDOW_MAX + 1]])],
  ['MAX_FRAME_SIZE too small', wire.SETTINGS, 0, 0, wire.settingsPayload([[5, 16_383]])],
  ['MAX_FRAME_SIZE too large', wire.SETTINGS, 0, 0, wire.settingsPayload([[5, 1 << 24]])],
  ['ENABLE_PUSH of 2', wire.SETTINGS, 0, 0, wire.settingsPayload([[2, 2]])],
  ['PING on a stream', wire.PING, 0, 1, Buffer.alloc(8)],
  ['PING of seven bytes', wire.PING, 0, 0, Buffer.alloc(7)],
  ['PING of nine bytes', wire.PING, wire.ACK, 0, Buffer.alloc(9)],
  ['GOAWAY on a stream', wire.GOAWAY, 0, 1, Buffer.alloc(8)],
  ['GOAWAY of seven bytes', wire.GOAWAY, 0, 0, Buffer.alloc(7)],
  ['PUSH_PROMISE', wire.PUSH_PROMISE, wire.END_HEADERS, 1, Buffer.from([0, 0, 0, 2, 0x82])],
  ['CONTINUATION of nothing', wire.CONTINUATION, wire.END_HEADERS, 1, Buffer.from([0x82])],
]

/** Blocks that cannot be decoded. */
const BLOCKS: readonly (readonly [name: string, block: readonly number[]])[] = [
  ['index 0', [0x80]],
  ['an index beyond both tables', [0xff, 0xff, 0x7f]],
  ['a table larger than we allow', [0x3f, 0xff, 0x7f]],
  ['a size update behind a field', [0x82, 0x20]],
  ['a string longer than its block', [0x00, 0x05, 0x61]],
  ['a block that ends in a number', [0x7f, 0x80]],
  ['a number that never ends', [0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]],
  ['Huffman code that is padded with zeros', [0x00, 0x81, 0x00, 0x01, 0x61]],
  ['Huffman code with the end of strings in it', [0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x01, 0x61]],
]

const onConnection = (name: string, commit: (scene: Scene) => void): Violation => ({
  name,
  ends: 'connection',
  commit: (scene) => {
    commit(scene)
    return 'done'
  },
})

/** A block goes where the peer can open or answer a stream. */
const headerTarget = (scene: Scene): number => (scene.role === 'server' ? scene.newLane().id : IDLE)

/** A stream of the scene, and what is done to it. */
const onStream = (name: string, which: 'sending' | 'halfClosed' | 'unanswered', commit: (lane: Lane, scene: Scene) => void): Violation => ({
  name,
  ends: 'stream',
  commit: (scene) => {
    const lane = scene[which]
    if (lane !== undefined) commit(lane, scene)
    return lane
  },
})

export const VIOLATIONS: readonly Violation[] = [
  ...FRAMES.map(([name, type, flags, id, payload]) => onConnection(name, ({ peer }) => peer.write(type, flags, id, payload))),
  ...BLOCKS.map(([name, block]) =>
    onConnection(name, (scene) => scene.peer.write(wire.HEADERS, wire.END_HEADERS, headerTarget(scene), Buffer.from(block))),
  ),
  onConnection('a frame above the size that we allow', ({ peer, draw }) =>
    peer.write(draw.pick([wire.DATA, wire.HEADERS, wire.PING, wire.SETTINGS, 77]), 0, 1, Buffer.alloc(16_385)),
  ),
  onConnection('a stream of the wrong side', ({ peer, role, draw }) => {
    const id = role === 'server' ? 2 : IDLE
    peer.write(wire.HEADERS, wire.END_HEADERS, id, peer.hpack.block(requestLines(draw), draw))
  }),
  onConnection('a header block that is interrupted', (scene) => {
    const { peer, draw } = scene
    const id = headerTarget(scene)
    peer.write(wire.HEADERS, 0, id, peer.hpack.block(requestLines(draw), draw))
    const [type, other] = draw.pick([
      [wire.PING, 0],
      [wire.DATA, id],
      [wire.CONTINUATION, id + 2],
      [wire.HEADERS, id],
      [77, 0],
    ] as const)
    peer.write(type, 0, other, Buffer.alloc(8))
  }),
  onConnection('a header block of too many frames', (scene) => {
    const id = headerTarget(scene)
    scene.peer.write(wire.HEADERS, 0, id, Buffer.from([0x82]))
    for (let i = 0; i <= limits.continuationsMax; i++) scene.peer.write(wire.CONTINUATION, 0, id, Buffer.from([0x86]))
  }),
  onConnection('HEADERS whose padding is longer than they are', (scene) =>
    scene.peer.write(wire.HEADERS, wire.END_HEADERS | wire.PADDED, headerTarget(scene), Buffer.from([9, 0x82])),
  ),
  onConnection('a connection window that overflows', ({ peer }) => {
    for (let i = 0; i < 2; i++) peer.write(wire.WINDOW_UPDATE, 0, 0, wire.number32(WINDOW_MAX))
  }),
  onStream('WINDOW_UPDATE of 0 on a stream', 'sending', ({ id }, { peer }) => peer.write(wire.WINDOW_UPDATE, 0, id, wire.number32(0))),
  onStream('a stream window that overflows', 'sending', (lane, { peer }) => {
    for (let i = 0; i < 3; i++) peer.write(wire.WINDOW_UPDATE, 0, lane.id, wire.number32(WINDOW_MAX))
    lane.receiveWindow += WINDOW_MAX // the first of them may be within bounds
  }),
  {
    name: 'DATA beyond the stream window',
    ends: 'stream',
    // In one frame: behind a first one there may be credit that the peer has not heard of.
    commit: ({ peer, sending }) => {
      if (sending === undefined || sending.sendWindow >= 16_384) return undefined
      const length = sending.sendWindow + 1
      peer.write(wire.DATA, 0, sending.id, Buffer.alloc(length))
      peer.sendWindow -= length
      return sending
    },
  },
  onStream('DATA whose padding is longer than it is', 'sending', ({ id }, { peer }) => {
    peer.sendWindow -= 2
    peer.write(wire.DATA, wire.PADDED, id, Buffer.from([2, 0]))
  }),
  onStream('DATA behind the end', 'halfClosed', ({ id }, { peer }) => {
    peer.sendWindow -= 3
    peer.write(wire.DATA, 0, id, Buffer.alloc(3))
  }),
  onStream('HEADERS behind the end', 'halfClosed', ({ id }, { peer, draw }) =>
    peer.write(wire.HEADERS, wire.END_HEADERS | wire.END_STREAM, id, peer.hpack.block(trailerLines(draw), draw)),
  ),
  onStream('trailers that end nothing', 'sending', ({ id }, { peer, draw }) =>
    peer.write(wire.HEADERS, wire.END_HEADERS, id, peer.hpack.block(trailerLines(draw), draw)),
  ),
  onStream('DATA before the response head', 'unanswered', ({ id }, { peer }) => {
    peer.sendWindow -= 1
    peer.write(wire.DATA, 0, id, Buffer.alloc(1))
  }),
  onStream('an informational head that ends the stream', 'unanswered', ({ id }, { peer, draw }) =>
    peer.write(wire.HEADERS, wire.END_HEADERS | wire.END_STREAM, id, peer.hpack.block(informationalLines(draw), draw)),
  ),
  onStream('trailers with a line break', 'sending', ({ id }, { peer, draw }) =>
    peer.write(wire.HEADERS, wire.END_HEADERS | wire.END_STREAM, id, peer.hpack.block([['x-a', 'b\r\nc: d']], draw)),
  ),
]
