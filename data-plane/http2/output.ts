/**
 * Gathers the frames that one connection is about to send, so that a socket is written once for many frames.
 * Bytes given away by `take` are never touched again; DATA of one stream that follows itself grows the frame that is already there.
 * One connection owns an Output; nobody else writes to it.
 */
import { limits } from '../../core/limits.ts'
import { copyBytes, type Slab } from './copy-bytes.ts'
import { blockLength, writeBlock } from './header-block.ts'
import type { HeaderField } from './header-field.ts'
import { FLAG, FRAME, FRAME_HEAD, SETTING } from './protocol.ts'

const FRAME_MAX = limits.frameSizeMax
/** RFC 7541 §6.3: a size update to 0. */
const TABLE_OF_NO_SIZE = 0x20

/** Slabs of one worker, reused last in first out so that the warm ones stay warm. */
export class SlabPool {
  readonly #free: Slab[] = []
  readonly #keep: number
  readonly #allocate: (size: number) => Uint8Array

  /** `allocate` may answer a subclass that the socket likes better; its views are then of that class too. */
  constructor(keep: number, allocate: (size: number) => Uint8Array) {
    this.#keep = keep
    this.#allocate = allocate
  }

  take(): Slab {
    const kept = this.#free.pop()
    if (kept !== undefined) return kept
    const bytes = this.#allocate(limits.slabSize)
    return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length) }
  }

  give(slab: Slab): void {
    if (this.#free.length < this.#keep) this.#free.push(slab)
  }
}

/** A filled slab on its way out: `bytes` is what to send, `slab` what to give back to the pool afterwards. */
export type Gathered = { readonly slab: Slab; readonly bytes: Uint8Array }

export class Output {
  readonly #pool: SlabPool
  readonly #onFirst: () => void
  readonly #onSealed: () => void
  #slab: Slab | undefined
  #at = 0
  #sealed: Gathered[] = []
  #sealedBytes = 0
  // The DATA frame at the slab's end, while nothing follows it.
  #openStream = 0
  #openAt = 0
  #openLength = 0
  #headSent = false

  /** `onFirst` is told when the output stops being empty, `onSealed` when a slab is full and should leave now. */
  constructor(pool: SlabPool, onFirst: () => void, onSealed: () => void) {
    this.#pool = pool
    this.#onFirst = onFirst
    this.#onSealed = onSealed
  }

  /** Bytes gathered and not yet taken. */
  get size(): number {
    return this.#sealedBytes + this.#at
  }

  /** Hands over what was gathered. The caller gives each slab's memory back to the pool once the socket has taken it. */
  take(): Gathered[] {
    const chunks = this.#sealed
    if (this.#slab !== undefined && this.#at > 0) {
      chunks.push({ slab: this.#slab, bytes: this.#slab.bytes.subarray(0, this.#at) })
      this.#slab = undefined
    }
    this.#sealed = []
    this.#sealedBytes = 0
    this.#at = 0
    this.#openStream = 0
    return chunks
  }

  /** At most one frame of payload. */
  data(streamId: number, source: Uint8Array, start: number, end: number, endStream: boolean): void {
    const length = end - start
    if (
      streamId === this.#openStream &&
      this.#openLength + length <= FRAME_MAX &&
      this.#slab !== undefined &&
      this.#at + length <= limits.slabSize
    ) {
      const slab = this.#slab.bytes
      copyBytes(source, start, end, this.#slab, this.#at)
      this.#at += length
      this.#openLength += length
      const at = this.#openAt
      slab[at] = this.#openLength >>> 16
      slab[at + 1] = this.#openLength >>> 8
      slab[at + 2] = this.#openLength
      if (endStream) {
        slab[at + 4] = FLAG.END_STREAM
        this.#openStream = 0
      }
      return
    }
    const at = this.#frame(length, FRAME.DATA, endStream ? FLAG.END_STREAM : 0, streamId)
    copyBytes(source, start, end, this.#slab as Slab, at)
    if (endStream) return
    this.#openStream = streamId
    this.#openAt = at - FRAME_HEAD
    this.#openLength = length
  }

  /** A header block, split into CONTINUATION frames where it must be. */
  headers(streamId: number, fields: readonly HeaderField[], endStream: boolean): void {
    const front = this.#headSent ? 0 : 1
    const length = front + blockLength(fields)
    const end = endStream ? FLAG.END_STREAM : 0
    if (length <= FRAME_MAX) {
      const at = this.#frame(length, FRAME.HEADERS, FLAG.END_HEADERS | end, streamId)
      if (front > 0) this.#beginHeads((this.#slab as Slab).bytes, at)
      writeBlock(fields, (this.#slab as Slab).bytes, at + front)
      return
    }
    const block = new Uint8Array(length)
    if (front > 0) this.#beginHeads(block, 0)
    writeBlock(fields, block, front)
    for (let from = 0; from < length; from += FRAME_MAX) {
      const to = Math.min(from + FRAME_MAX, length)
      const flags = (from === 0 ? end : 0) | (to === length ? FLAG.END_HEADERS : 0)
      const at = this.#frame(to - from, from === 0 ? FRAME.HEADERS : FRAME.CONTINUATION, flags, streamId)
      copyBytes(block, from, to, this.#slab as Slab, at)
    }
  }

  /** The first head says that we use a dynamic table of no size: a peer that makes its own smaller is owed no word then (RFC 7541 §4.2). */
  #beginHeads(block: Uint8Array, at: number): void {
    this.#headSent = true
    block[at] = TABLE_OF_NO_SIZE
  }

  reset(streamId: number, code: number): void {
    this.#number(this.#frame(4, FRAME.RST_STREAM, 0, streamId), code)
  }

  windowUpdate(streamId: number, increment: number): void {
    this.#number(this.#frame(4, FRAME.WINDOW_UPDATE, 0, streamId), increment)
  }

  settings(values: readonly (readonly [id: number, value: number])[]): void {
    let at = this.#frame(6 * values.length, FRAME.SETTINGS, 0, 0)
    const slab = (this.#slab as Slab).bytes
    for (const [id, value] of values) {
      slab[at] = id >>> 8
      slab[at + 1] = id
      this.#number(at + 2, value)
      at += 6
    }
  }

  settingsAck(): void {
    this.#frame(0, FRAME.SETTINGS, FLAG.ACK, 0)
  }

  ping(source: Uint8Array, start: number, ack: boolean): void {
    const at = this.#frame(8, FRAME.PING, ack ? FLAG.ACK : 0, 0)
    copyBytes(source, start, start + 8, this.#slab as Slab, at)
  }

  goaway(lastStreamId: number, code: number, debug: string): void {
    const at = this.#frame(8 + debug.length, FRAME.GOAWAY, 0, 0)
    this.#number(at, lastStreamId)
    this.#number(at + 4, code)
    this.#text(debug, at + 8)
  }

  preface(text: string): void {
    this.#reserve(text.length)
    this.#text(text, this.#at)
    this.#at += text.length
  }

  /** ASCII only. */
  #text(text: string, at: number): void {
    const slab = (this.#slab as Slab).bytes
    for (let i = 0; i < text.length; i++) slab[at + i] = text.charCodeAt(i)
  }

  /** Writes a frame head and keeps room for the payload; answers where the payload goes. */
  #frame(length: number, type: number, flags: number, streamId: number): number {
    this.#reserve(FRAME_HEAD + length)
    const { view } = this.#slab as Slab
    const at = this.#at
    view.setUint32(at, (length << 8) | type)
    view.setUint8(at + 4, flags)
    view.setUint32(at + 5, streamId)
    this.#at = at + FRAME_HEAD + length
    this.#openStream = 0
    return at + FRAME_HEAD
  }

  #number(at: number, value: number): void {
    ;(this.#slab as Slab).view.setUint32(at, value)
  }

  #reserve(length: number): void {
    const slab = this.#slab
    if (slab !== undefined && this.#at + length <= limits.slabSize) return
    if (slab !== undefined && this.#at > 0) {
      this.#sealed.push({ slab, bytes: slab.bytes.subarray(0, this.#at) })
      this.#sealedBytes += this.#at
      this.#at = 0
      this.#slab = undefined
      this.#onSealed()
    }
    this.#slab = this.#pool.take()
    this.#at = 0
    // Behind a full slab that has just left, too, the output is a new one.
    if (this.#sealedBytes === 0) this.#onFirst()
  }
}

export const SETTINGS_OF_SERVER: readonly (readonly [number, number])[] = [
  [SETTING.MAX_CONCURRENT_STREAMS, limits.downstreamStreamsMax],
  [SETTING.INITIAL_WINDOW_SIZE, limits.streamWindowStart],
  [SETTING.MAX_HEADER_LIST_SIZE, limits.headerListMax],
]

export const SETTINGS_OF_CLIENT: readonly (readonly [number, number])[] = [
  [SETTING.ENABLE_PUSH, 0],
  [SETTING.INITIAL_WINDOW_SIZE, limits.streamWindowStart],
  [SETTING.MAX_HEADER_LIST_SIZE, limits.headerListMax],
]
