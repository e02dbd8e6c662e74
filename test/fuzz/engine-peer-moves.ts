/** What the engine's peer may do by the rules, drawn against the streams that there are. */
import type { Role } from '../../data-plane/http2/connection-events.ts'
import type { Draw } from './draw.ts'
import { Lane, textOfLines } from './engine-lane.ts'
import type { Peer } from './engine-peer.ts'
import { WINDOW_MAX } from './engine-settings.ts'
import * as wire from './frames.ts'
import { informationalLines, requestLines, responseLines, trailerLines } from './random-head.ts'

export class PeerMoves {
  readonly #peer: Peer
  /** The engine's. */
  readonly #role: Role

  constructor(peer: Peer, role: Role) {
    this.#peer = peer
    this.#role = role
  }

  newLane(): Lane {
    return new Lane(this.#peer.lastStream === 0 ? 1 : this.#peer.lastStream + 2)
  }

  head(draw: Draw): void {
    if (this.#role === 'server') {
      if (!this.#peer.retiring) this.#peer.open(this.newLane(), requestLines(draw), draw.oneIn(5), draw)
      return
    }
    const lane = this.#pick(draw, (one) => one.engineHead && !one.peerHead && !one.peerGone)
    if (lane === undefined) return
    if (draw.oneIn(5)) return this.#peer.head(lane, informationalLines(draw), false, draw)
    const lines = responseLines(draw)
    lane.headsUp.push(textOfLines(lines))
    lane.peerHead = true
    this.#peer.head(lane, lines, draw.oneIn(5), draw)
  }

  trailers(lane: Lane, draw: Draw): void {
    const lines = trailerLines(draw)
    lane.headsUp.push(textOfLines(lines))
    this.#peer.head(lane, lines, true, draw)
  }

  grant(draw: Draw): void {
    if (draw.oneIn(3)) return this.#peer.grant(undefined, draw)
    const lane = this.#pick(draw, (one) => (one.peerHead || one.engineHead) && !one.peerGone && !one.engineEnded)
    if (lane !== undefined) this.#peer.grant(lane, draw)
  }

  /** Strange, and no harm. */
  oddity(draw: Draw): void {
    const peer = this.#peer
    const reserved = draw.oneIn(2) ? 0x8000_0000 : 0
    switch (draw.below(4)) {
      case 0:
        return peer.write(draw.between(16, 255), draw.below(256), draw.bits(), Buffer.alloc(draw.size(16_384)))
      case 1:
        return peer.write(wire.PRIORITY, draw.below(256), ((2 * draw.below(500) + 1) | reserved) >>> 0, Buffer.from([0, 0, 0, 0, 16]))
      case 2:
        return peer.write(wire.PING, wire.ACK, reserved, Buffer.alloc(8))
      default: {
        const lane = this.#pick(draw, (one) => one.peerMaySend)
        if (lane !== undefined) peer.write(wire.DATA, 0, lane.id | reserved, Buffer.alloc(0))
      }
    }
  }

  goaway(draw: Draw): void {
    const peer = this.#peer
    const last =
      this.#role === 'client' ? Math.min(peer.lastWanted, draw.pick([WINDOW_MAX, peer.lastStream, draw.below(peer.lastStream + 1)])) : 0
    peer.write(wire.GOAWAY, 0, 0, Buffer.concat([wire.number32(last), wire.number32(0), Buffer.alloc(draw.size(2_000))]))
    if (this.#role === 'server') return
    peer.lastWanted = Math.min(peer.lastWanted, last)
    for (const lane of peer.lanes.values()) lane.dropped ||= lane.id > last
  }

  #pick(draw: Draw, fits: (lane: Lane) => boolean): Lane | undefined {
    const lanes = [...this.#peer.lanes.values()].filter(fits)
    return lanes.length === 0 ? undefined : draw.pick(lanes)
  }
}
