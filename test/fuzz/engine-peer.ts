/**
 * The other end of the connection under test. It writes frames that are legal by all it knows, and holds what it hears against the RFC and against
 * what the engine was told to send: no byte beyond a window, no frame behind an end, no head or acknowledgement that nobody asked for.
 */
import { limits } from '../../core/limits.ts'
import type { Role } from '../../data-plane/http2/connection-events.ts'
import type { HeaderField } from '../../data-plane/http2/header-field.ts'
import { HpackDecoder } from '../../data-plane/http2/hpack-decoder.ts'
import type { Draw } from './draw.ts'
import { type Lane, textOfFields, textOfLines } from './engine-lane.ts'
import { INITIAL_WINDOW_SIZE, SentSettings, WINDOW_DEFAULT, WINDOW_MAX } from './engine-settings.ts'
import * as wire from './frames.ts'
import { HpackWriter, type Line } from './hpack-writer.ts'
import { NOISE } from './sent-log.ts'
import { type Counts, must } from './target.ts'

const FRAME_MAX = 16_384

export class Peer {
  /** Bytes on their way to the engine. */
  readonly out: Buffer[] = []
  readonly lanes = new Map<number, Lane>()
  readonly hpack = new HpackWriter()
  /** Its bytes were tampered with: it no longer knows what the engine knows. */
  wild = false
  sendWindow = WINDOW_DEFAULT
  /** Code of the engine's last GOAWAY. */
  goaway: number | undefined
  lastStream = 0
  /** It has said GOAWAY: what the engine opens above this is dropped. */
  lastWanted = WINDOW_MAX
  retiring = false
  readonly #engine: Role
  readonly #counts: Counts
  readonly #decoder = new HpackDecoder(4_096, { listSizeMax: 1 << 20, fieldsMax: 1_000 })
  #receiveWindow = WINDOW_DEFAULT
  #initialOfEngine = WINDOW_DEFAULT
  readonly #settings = new SentSettings()
  #pings: string[] = []
  #prefaceDue: boolean
  #settingsDue = true
  #block: { readonly id: number; readonly parts: Buffer[]; readonly flags: number } | undefined

  constructor(engine: Role, counts: Counts) {
    this.#engine = engine
    this.#counts = counts
    this.#prefaceDue = engine === 'client'
    if (engine === 'server') this.out.push(wire.CLIENT_PREFACE)
  }

  // ——— what it sends ———

  write(type: number, flags: number, id: number, payload: Uint8Array): void {
    this.out.push(wire.frame(type, flags, id, payload))
    this.#counts.frames++
  }

  head(lane: Lane, lines: readonly Line[], ends: boolean, draw: Draw): void {
    const block = this.hpack.block(lines, draw)
    const cuts = draw.oneIn(3) ? draw.between(1, limits.continuationsMax) : 0
    const size = Math.max(Math.ceil(block.length / (cuts + 1)), 1)
    const parts = Array.from({ length: cuts + 1 }, (_, i) => block.subarray(i * size, (i + 1) * size))
    const priority = draw.oneIn(5) ? Buffer.from([0x80, 0, 0, 0, draw.below(256)]) : Buffer.alloc(0)
    const padding = draw.oneIn(4) ? draw.below(256) : undefined
    for (const [i, part] of parts.entries()) {
      const flags = (i === cuts ? wire.END_HEADERS : 0) | (draw.oneIn(4) ? 0x40 : 0)
      if (i > 0) this.write(wire.CONTINUATION, flags, lane.id, part)
      else {
        const own =
          (ends ? wire.END_STREAM : 0) | (priority.length > 0 ? wire.WITH_PRIORITY : 0) | (padding === undefined ? 0 : wire.PADDED)
        this.write(wire.HEADERS, flags | own, lane.id, wire.padded(Buffer.concat([priority, part]), padding))
      }
    }
    if (ends) lane.peerEnded = true
  }

  data(lane: Lane, ends: boolean, draw: Draw): void {
    const room = Math.max(0, Math.min(FRAME_MAX, lane.sendWindow, this.sendWindow))
    // Empty frames that end nothing are a flood when there are many in a row.
    if (room === 0 && !ends && !draw.oneIn(8)) return
    const padding = draw.oneIn(5) && room > 0 ? Math.min(draw.below(256), room - 1) : undefined
    const length = draw.size(room - (padding === undefined ? 0 : padding + 1))
    const from = draw.below(NOISE.length - length)
    const body = NOISE.subarray(from, from + length)
    const payload = wire.padded(body, padding)
    this.write(wire.DATA, (ends ? wire.END_STREAM : 0) | (padding === undefined ? 0 : wire.PADDED), lane.id, payload)
    lane.sendWindow -= payload.length
    this.sendWindow -= payload.length
    lane.up.sent(body)
    this.#counts.bytes += length
    if (ends) lane.peerEnded = true
  }

  reset(lane: Lane, code: number): void {
    this.write(wire.RST_STREAM, 0, lane.id, wire.number32(code))
    lane.peerReset = true
  }

  settings(draw: Draw): void {
    const windows = [...this.lanes.values()].map((lane) => (lane.peerGone ? 0 : lane.receiveWindow))
    this.write(wire.SETTINGS, 0, 0, this.#settings.write(Math.max(0, ...windows), draw))
  }

  ping(draw: Draw): void {
    const payload = Buffer.concat([wire.number32(draw.bits()), wire.number32(draw.bits())])
    this.write(wire.PING, 0, 0, payload)
    this.#pings.push(payload.toString('hex'))
  }

  /** More room for what the engine sends; within what a window may be, also once settings that are under way count. */
  grant(lane: Lane | undefined, draw: Draw): void {
    const room = WINDOW_MAX - (lane === undefined ? this.#receiveWindow : lane.receiveWindow + this.#settings.raise)
    if (room < 1) return
    const increment = Math.min(room, draw.oneIn(10) ? WINDOW_MAX : 1 + draw.size(1 << 20))
    this.write(wire.WINDOW_UPDATE, 0, lane?.id ?? 0, wire.number32(increment))
    if (lane === undefined) this.#receiveWindow += increment
    else lane.receiveWindow += increment
  }

  /** Everything that the engine still holds back for want of credit may come. */
  grantAll(): void {
    if (this.waitsForAck) return
    const lanes = [...this.lanes.values()].filter((lane) => lane.engineHead && !lane.engineEnded && !lane.peerGone)
    for (const lane of [undefined, ...lanes]) {
      const increment = (1 << 24) - (lane === undefined ? this.#receiveWindow : lane.receiveWindow)
      if (increment <= 0) continue
      this.write(wire.WINDOW_UPDATE, 0, lane?.id ?? 0, wire.number32(increment))
      if (lane === undefined) this.#receiveWindow += increment
      else lane.receiveWindow += increment
    }
  }

  get waitsForAck(): boolean {
    return this.#settings.waits || this.#pings.length > 0
  }

  // ——— what it hears ———

  hear(bytes: Uint8Array): void {
    let from = 0
    if (this.#prefaceDue && bytes.length > 0) {
      from = wire.CLIENT_PREFACE.length
      must(wire.CLIENT_PREFACE.equals(bytes.subarray(0, from)), 'the preface comes first')
      this.#prefaceDue = false
    }
    wire.eachFrame(bytes.subarray(from), (one) => this.#onFrame(one))
  }

  #onFrame({ type, flags, id, payload }: wire.Frame): void {
    must(payload.length <= FRAME_MAX, `a frame of ${payload.length} bytes`)
    must(this.goaway === undefined || this.goaway === 0, 'a frame behind the last GOAWAY')
    must((this.#block === undefined) === (type !== wire.CONTINUATION), 'a header block is a run of its own')
    if (this.#settingsDue) must(type === wire.SETTINGS && (flags & wire.ACK) === 0, 'SETTINGS come first')
    switch (type) {
      case wire.DATA:
        return this.#onData(flags, id, payload)
      case wire.HEADERS:
        this.#block = { id, parts: [Buffer.from(payload)], flags }
        if ((flags & wire.END_HEADERS) !== 0) this.#onBlock()
        return
      case wire.CONTINUATION:
        must(this.#block?.id === id, 'CONTINUATION of another stream')
        this.#block.parts.push(Buffer.from(payload))
        if ((flags & wire.END_HEADERS) !== 0) this.#onBlock()
        return
      case wire.RST_STREAM:
        must(payload.length === 4 && id > 0, 'RST_STREAM as it should be')
        if (!this.wild) this.#onReset(id)
        return
      case wire.SETTINGS:
        return this.#onSettings(flags, payload)
      case wire.PING:
        if ((flags & wire.ACK) !== 0 && !this.wild) must(this.#pings.shift() === payload.toString('hex'), 'a PING is answered as it came')
        return
      case wire.GOAWAY:
        must(id === 0 && payload.length >= 8, 'GOAWAY as it should be')
        this.goaway = payload.readUInt32BE(4)
        this.retiring = true
        return
      case wire.WINDOW_UPDATE:
        return this.#onWindowUpdate(id, payload.readUInt32BE(0))
      default:
        must(false, `a frame of type ${type}`)
    }
  }

  #onData(flags: number, id: number, payload: Buffer): void {
    if (this.wild) return
    const lane = this.lanes.get(id)
    must(lane !== undefined, `DATA on stream ${id}, which there is not`)
    must(lane.engineHead && !lane.engineEnded && !lane.engineReset, `DATA on stream ${id}, where none can be`)
    lane.receiveWindow -= payload.length
    this.#receiveWindow -= payload.length
    if (payload.length > 0) must(lane.receiveWindow >= 0, `DATA ${-lane.receiveWindow} bytes beyond the window of stream ${id}`)
    must(this.#receiveWindow >= 0, `DATA ${-this.#receiveWindow} bytes beyond the connection window`)
    lane.down.receive(payload, 0, payload.length)
    if ((flags & wire.END_STREAM) !== 0) this.#onEnd(lane)
  }

  #onBlock(): void {
    const block = this.#block
    this.#block = undefined
    if (block === undefined) return
    const fields: HeaderField[] = []
    const bytes = Buffer.concat(block.parts)
    must(this.#decoder.decode(bytes, 0, bytes.length, fields) === 'ok', 'the head that was sent can be read')
    if (this.wild) return
    const lane = this.lanes.get(block.id)
    must(lane !== undefined && !lane.engineEnded && !lane.engineReset, `HEADERS on stream ${block.id}, where none can be`)
    must(lane.headsDown.shift() === textOfFields(fields), `stream ${block.id}: another head than was sent`)
    if (!lane.engineHead) this.#onFirstHead(lane)
    if ((block.flags & wire.END_STREAM) !== 0) this.#onEnd(lane)
  }

  #onFirstHead(lane: Lane): void {
    lane.engineHead = true
    if (this.#engine === 'server') return
    must(lane.id % 2 === 1 && lane.id > this.lastStream, 'streams are opened in order')
    this.lastStream = lane.id
    lane.sendWindow = this.#initialOfEngine
    lane.receiveWindow = this.#settings.initial
    const most = this.#settings.streamsMost
    const open = [...this.lanes.values()].filter((one) => one.engineHead && !one.peerGone && !(one.engineEnded && one.peerEnded)).length
    must(open <= most, `${open} streams open where ${most} may be`)
  }

  #onEnd(lane: Lane): void {
    must(lane.ownerEnded, `stream ${lane.id} ended and its owner did not end it`)
    must(lane.down.left === 0, `stream ${lane.id} ended ${lane.down.left} bytes early`)
    must(lane.headsDown.length === 0, `stream ${lane.id} ended without its trailers`)
    lane.engineEnded = true
  }

  #onReset(id: number): void {
    const lane = this.lanes.get(id)
    must(lane?.engineHead === true || (this.#engine === 'server' && id <= this.lastStream), 'RST_STREAM on an idle stream')
    if (lane !== undefined) lane.engineReset = true
  }

  #onSettings(flags: number, payload: Buffer): void {
    if ((flags & wire.ACK) !== 0) {
      must(payload.length === 0, 'an acknowledgement is empty')
      if (this.wild) return
      const change = this.#settings.acknowledged()
      for (const lane of this.lanes.values()) lane.receiveWindow += change
      return
    }
    this.#settingsDue = false
    for (let at = 0; at < payload.length; at += 6) {
      const value = payload.readUInt32BE(at + 2)
      if (payload.readUInt16BE(at) !== INITIAL_WINDOW_SIZE) continue
      for (const lane of this.lanes.values()) lane.sendWindow += value - this.#initialOfEngine
      this.#initialOfEngine = value
    }
    this.write(wire.SETTINGS, wire.ACK, 0, Buffer.alloc(0))
  }

  #onWindowUpdate(id: number, increment: number): void {
    must(increment >= 1 && increment <= WINDOW_MAX, `WINDOW_UPDATE of ${increment}`)
    if (this.wild) return
    if (id === 0) {
      this.sendWindow += increment
      must(this.sendWindow <= limits.connectionWindow, `a connection window of ${this.sendWindow}`)
      return
    }
    const lane = this.lanes.get(id)
    must(lane !== undefined, 'WINDOW_UPDATE on a stream that there is not')
    lane.sendWindow += increment
    must(lane.sendWindow <= limits.streamWindowMax, `a window of ${lane.sendWindow} on stream ${id}`)
  }

  /** Opens a lane of the peer's own; only towards a server. */
  open(lane: Lane, lines: readonly Line[], ends: boolean, draw: Draw): void {
    this.lastStream = lane.id
    lane.sendWindow = this.#initialOfEngine
    lane.receiveWindow = this.#settings.initial
    this.lanes.set(lane.id, lane)
    lane.peerHead = true
    lane.headsUp.push(textOfLines(lines))
    this.head(lane, lines, ends, draw)
  }
}
