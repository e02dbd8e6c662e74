/**
 * Owner of the connection under test: does with streams what a relay does, also from within the engine's calls, and holds what it is told against
 * what the peer sent. Every stream is told its end once, and nothing behind it.
 */
import type { Connection } from '../../data-plane/http2/connection.ts'
import type { ConnectionEvents, Role } from '../../data-plane/http2/connection-events.ts'
import { type HeaderField, headerField } from '../../data-plane/http2/header-field.ts'
import type { LossCause, Stream, StreamSink } from '../../data-plane/http2/stream.ts'
import type { Draw } from './draw.ts'
import { Lane, textOfFields, textOfLines } from './engine-lane.ts'
import type { Peer } from './engine-peer.ts'
import type { Line } from './hpack-writer.ts'
import { requestLines, responseLines, trailerLines } from './random-head.ts'
import { NOISE } from './sent-log.ts'
import { type Counts, must } from './target.ts'

/** A relay keeps no more than the window that it granted. */
const WAITING_MAX = 1 << 20

const fieldsOf = (lines: readonly Line[]): HeaderField[] => lines.map(([name, value]) => headerField(name, value))

export class Owner implements ConnectionEvents, StreamSink {
  /** Of the move that is being made. */
  draw: Draw
  fatal: string | undefined
  onFull: () => void = () => {}
  readonly #peer: Peer
  readonly #role: Role
  readonly #counts: Counts
  /** Whether it acts from within the engine's calls, and whether it keeps credit back. */
  readonly #hasty: boolean
  readonly #holds: boolean

  constructor(peer: Peer, role: Role, draw: Draw, counts: Counts) {
    this.#peer = peer
    this.#role = role
    this.#counts = counts
    this.draw = draw
    this.#hasty = draw.oneIn(2)
    this.#holds = draw.oneIn(2)
  }

  // ——— its moves ———

  open(connection: Connection): void {
    if (!connection.canOpen) return
    const lines = requestLines(this.draw)
    const ends = this.draw.oneIn(4)
    const lane = new Lane(this.#peer.lanes.size === 0 ? 1 : Math.max(...this.#peer.lanes.keys()) + 2)
    this.#peer.lanes.set(lane.id, lane)
    lane.headsDown.push(textOfLines(lines))
    lane.ownerHead = true
    lane.ownerEnded = ends
    lane.dropped = lane.id > this.#peer.lastWanted
    this.#counts.streams++
    const stream = connection.open(fieldsOf(lines), ends)
    must(stream.id === lane.id, `stream ${stream.id} where ${lane.id} is next`)
    lane.stream = stream
    stream.sink = this
  }

  answer(lane: Lane): void {
    const { stream } = lane
    if (this.#role !== 'server' || stream === undefined || lane.ownerHead || lane.ownerReset || lane.told) return
    const lines = responseLines(this.draw)
    lane.headsDown.push(textOfLines(lines))
    lane.ownerHead = true
    lane.ownerEnded = this.draw.oneIn(5)
    stream.sendHead(fieldsOf(lines), lane.ownerEnded)
  }

  body(lane: Lane): void {
    const { stream } = lane
    if (stream === undefined || !lane.ownerMaySend || stream.waitingBytes > WAITING_MAX) return
    const length = this.draw.size(this.draw.oneIn(10) ? 400_000 : 40_000)
    const from = this.draw.below(NOISE.length - length)
    lane.down.sent(NOISE.subarray(from, from + length))
    lane.ownerEnded = this.draw.oneIn(8)
    this.#counts.bytes += length
    const left = stream.sendData(NOISE, from, from + length, lane.ownerEnded)
    must(left >= 0 && left <= length, `${left} of ${length} bytes left`)
  }

  finish(lane: Lane): void {
    if (!lane.ownerMaySend) return
    const lines = trailerLines(this.draw)
    lane.headsDown.push(textOfLines(lines))
    lane.ownerEnded = true
    lane.stream?.sendTrailers(fieldsOf(lines))
  }

  reset(lane: Lane): void {
    if (lane.stream === undefined || lane.told || lane.ownerReset) return
    lane.ownerReset = true
    lane.stream.reset(this.draw.below(14))
  }

  giveCredit(lane: Lane, all = false): void {
    const count = all ? lane.held : Math.min(lane.held, this.draw.size(lane.held + 1))
    if (count === 0 || lane.stream === undefined) return
    lane.held -= count
    lane.stream.returnCredit(count, this.draw.oneIn(2))
  }

  // ——— what it is told ———

  onRequest(stream: Stream, fields: HeaderField[], endStream: boolean): void {
    const lane = this.#peer.lanes.get(stream.id)
    stream.sink = this
    if (lane === undefined) {
      must(this.#peer.wild, `a request on stream ${stream.id} that nobody made`)
      this.#peer.lanes.set(stream.id, new Lane(stream.id))
      return this.onRequest(stream, fields, endStream)
    }
    must(lane.stream === undefined, `stream ${stream.id} came twice`)
    lane.stream = stream
    this.#counts.streams++
    this.#hearHead(lane, fields, endStream)
    if (!this.#hasty) return
    if (this.draw.oneIn(6)) this.reset(lane)
    else if (this.draw.oneIn(3)) this.answer(lane)
  }

  onBadRequest(stream: Stream, problem: string): void {
    must(this.#peer.wild, `a good request is called ${problem}`)
    stream.reset(1)
  }

  onHead(stream: Stream, fields: HeaderField[], endStream: boolean): void {
    const lane = this.#laneOf(stream)
    must(this.#role === 'client' && !lane.heardHead, `stream ${stream.id} has two heads`)
    this.#hearHead(lane, fields, endStream)
  }

  onData(stream: Stream, source: Uint8Array, start: number, end: number, endStream: boolean): void {
    const lane = this.#laneOf(stream)
    must(lane.heardHead && !lane.heardEnd, `bytes on stream ${stream.id}, where none can be`)
    if (!this.#peer.wild) lane.up.receive(source, start, end)
    if (endStream) this.#hearEnd(lane)
    lane.held += end - start
    if (!this.#holds) this.giveCredit(lane, true)
    if (!this.#hasty) return
    if (this.draw.oneIn(40)) this.reset(lane)
    else if (this.draw.oneIn(10)) this.finish(lane)
    else if (this.draw.oneIn(6)) this.body(lane)
  }

  onTrailers(stream: Stream, fields: HeaderField[]): void {
    const lane = this.#laneOf(stream)
    must(lane.heardHead && !lane.heardEnd, `trailers on stream ${stream.id}, where none can be`)
    this.#hearHead(lane, fields, true)
    if (this.#hasty && this.draw.oneIn(2)) this.finish(lane)
  }

  onReset(stream: Stream): void {
    const lane = this.#laneOf(stream)
    must(this.#peer.wild || lane.peerReset, `stream ${stream.id} was reset, says the engine`)
    lane.told = true
  }

  onLost(stream: Stream, cause: LossCause): void {
    const lane = this.#laneOf(stream)
    if (cause === 'unprocessed') must(this.#peer.wild || lane.dropped, `stream ${stream.id} was not processed, says the engine`)
    else must(this.#peer.wild || cause === 'broken' || lane.peerReset, `stream ${stream.id} was lost: ${cause}`)
    lane.told = true
  }

  onSent(stream: Stream, count: number): void {
    // The last bytes may be told of behind the end that they carried.
    must(count > 0 && this.#peer.lanes.get(stream.id)?.stream === stream, 'what is sent late is some bytes of a stream that there is')
  }

  onOutput(): void {}
  onOutputFull(): void {
    this.onFull()
  }
  onCapacity(connection: Connection): void {
    if (this.#hasty && this.draw.oneIn(8)) this.open(connection)
  }
  onFatal(_connection: Connection, code: number, reason: string): void {
    must(this.fatal === undefined, 'a connection fails once')
    this.fatal = `${reason} (${code})`
  }

  /** Over for its owner: it must never hear of it again. */
  isSilent(lane: Lane): boolean {
    if (lane.stream === undefined || lane.told || lane.ownerReset) return true
    return lane.stream.localEnded && (lane.heardEnd || this.#role === 'server')
  }

  #laneOf(stream: Stream): Lane {
    const lane = this.#peer.lanes.get(stream.id)
    must(lane !== undefined && lane.stream === stream, `news of stream ${stream.id}, which there is not`)
    must(!this.isSilent(lane), `news of stream ${stream.id} behind its end`)
    return lane
  }

  #hearHead(lane: Lane, fields: HeaderField[], ends: boolean): void {
    lane.heardHead = true
    if (!this.#peer.wild) must(lane.headsUp.shift() === textOfFields(fields), `stream ${lane.id}: another head than was sent`)
    if (ends) this.#hearEnd(lane)
  }

  #hearEnd(lane: Lane): void {
    lane.heardEnd = true
    if (this.#peer.wild) return
    must(lane.peerEnded, `stream ${lane.id} ended and its peer did not end it`)
    must(lane.up.left === 0 && lane.headsUp.length === 0, `stream ${lane.id} ended ${lane.up.left} bytes early`)
  }
}
