/**
 * Cuts reads into frames. DATA is never collected: each piece of its payload goes on as it comes. All other frames are handed on whole, from the
 * read where they lie or from a small buffer when they span reads. Bounds: one frame (16 KiB) and one header block.
 */
import { limits } from '../../core/limits.ts'
import type { Guard } from './guard.ts'
import { ERROR, FLAG, FRAME, FRAME_HEAD, PREFACE } from './protocol.ts'
import { BODY_UNSTATED, type Stream } from './stream.ts'

/** Compressed bytes of one header block, over all its frames. */
const BLOCK_MAX = 2 * limits.headerListMax

const DEPENDS_ON_ITSELF = 'a stream cannot depend on itself'

/** What the reader finds. Lengths, flags and the order of frames are checked before. */
export type FrameListener = {
  readonly dead: boolean
  /** Of one read; asked after each frame that may begin a stream. */
  readonly hadEnough: boolean
  fail(code: number, reason: string): void
  /** A guard ends the connection. */
  trip(guard: Guard, reason: string): void
  countFrames(count: number): void
  /** Frames that cost us more than their sender; ends the connection when there are too many. */
  onCheapFrame(kind: Guard, count: number): void
  beginData(streamId: number, length: number): Stream | undefined
  /** Counts a body whose length was stated; false: it does not hold to it, and the stream has been reset. */
  countBody(stream: Stream, length: number, ends: boolean): boolean
  remoteEnd(stream: Stream): void
  onHeaderBlock(streamId: number, block: Uint8Array, start: number, end: number, flags: number): void
  onReset(streamId: number, code: number): void
  onSetting(id: number, value: number): void
  onSettingsEnd(): void
  onPing(source: Uint8Array, start: number): void
  onPong(): void
  onGoaway(lastStreamId: number, code: number): void
  onWindowUpdate(streamId: number, increment: number): void
}

export class FrameReader {
  readonly #connection: FrameListener
  #prefaceAt: number
  // A frame that spans reads; its head counts in.
  #partial: Uint8Array | undefined
  #partialLength = 0
  // The DATA frame that is being passed on.
  #dataStream: Stream | undefined
  #dataLeft = 0
  #dataPadding = 0
  #dataEnds = false
  #padLengthDue = false
  #bodySeen = false
  // A header block that goes on in CONTINUATION frames.
  #blockStream = 0
  #blockFlags = 0
  #block: Uint8Array | undefined
  #blockLength = 0
  #continuations = 0
  /** Frames and blocks that did not come in one read. */
  #begun = 0
  #settingsSeen = false

  constructor(connection: FrameListener, expectPreface: boolean) {
    this.#connection = connection
    this.#prefaceAt = expectPreface ? 0 : PREFACE.length
  }

  /** Reads from `at` on; answers where it stopped: at `length`, or behind the frame with which the listener had enough. */
  read(bytes: Uint8Array, length: number, at: number): number {
    const connection = this.#connection
    if (this.#prefaceAt < PREFACE.length) at = this.#readPreface(bytes, at, length)
    let frames = 0
    while (at < length && !connection.dead) {
      if (this.#dataLeft > 0) {
        at = this.#passData(bytes, at, length)
        continue
      }
      if (this.#partial !== undefined) {
        at = this.#collect(bytes, at, length)
        continue
      }
      if (length - at < FRAME_HEAD) {
        at = this.#collect(bytes, at, length)
        break
      }
      const size = ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number)
      frames++
      if (bytes[at + 3] === FRAME.DATA && this.#blockStream === 0) {
        at = this.#beginData(bytes, at, size, length)
        continue
      }
      if (size > limits.frameSizeMax) {
        connection.fail(ERROR.FRAME_SIZE_ERROR, 'frame above the size that we allow')
        break
      }
      if (length - at < FRAME_HEAD + size) {
        at = this.#collect(bytes, at, length)
        break
      }
      this.#whole(bytes, at, size)
      at += FRAME_HEAD + size
      if (connection.hadEnough) break
    }
    connection.countFrames(frames)
    return connection.dead ? length : at
  }

  #readPreface(bytes: Uint8Array, at: number, length: number): number {
    while (at < length && this.#prefaceAt < PREFACE.length) {
      if (bytes[at] !== PREFACE.charCodeAt(this.#prefaceAt)) {
        this.#connection.fail(ERROR.PROTOCOL_ERROR, 'not an HTTP/2 preface')
        return length
      }
      at++
      this.#prefaceAt++
    }
    return at
  }

  #beginData(bytes: Uint8Array, at: number, size: number, length: number): number {
    const connection = this.#connection
    const flags = bytes[at + 4] as number
    const streamId = readStreamId(bytes, at + 5)
    if (size > limits.frameSizeMax) {
      connection.fail(ERROR.FRAME_SIZE_ERROR, 'frame above the size that we allow')
      return length
    }
    if (streamId === 0 || !this.#settingsSeen) {
      connection.fail(ERROR.PROTOCOL_ERROR, streamId === 0 ? 'DATA on stream 0' : 'SETTINGS come first')
      return length
    }
    const stream = connection.beginData(streamId, size)
    if (connection.dead) return length
    const ends = (flags & FLAG.END_STREAM) !== 0
    const body = at + FRAME_HEAD
    if ((flags & FLAG.PADDED) === 0 && length - body >= size && size > 0) {
      if (stream !== undefined) this.#deliver(stream, bytes, body, body + size, ends)
      return body + size
    }
    this.#dataStream = stream
    this.#dataEnds = ends
    this.#dataLeft = size
    this.#dataPadding = 0
    this.#padLengthDue = (flags & FLAG.PADDED) !== 0
    this.#bodySeen = false
    if (size === 0) {
      if (this.#padLengthDue) connection.fail(ERROR.FRAME_SIZE_ERROR, 'padding without its length')
      else this.#emptyData(stream, bytes, body, ends)
    }
    return body
  }

  #emptyData(stream: Stream | undefined, bytes: Uint8Array, at: number, ends: boolean): void {
    if (!ends) this.#connection.onCheapFrame('empty-frame-flood', 1)
    else if (stream !== undefined) this.#deliver(stream, bytes, at, at, true)
  }

  #passData(bytes: Uint8Array, at: number, length: number): number {
    if (this.#padLengthDue) {
      this.#padLengthDue = false
      this.#dataPadding = bytes[at] as number
      this.#dataLeft--
      if (this.#dataPadding > this.#dataLeft) {
        this.#connection.fail(ERROR.PROTOCOL_ERROR, 'padding longer than its frame')
        return length
      }
      // Padding costs the peer credit and us nothing: it goes back at once.
      this.#dataStream?.returnCredit(1 + this.#dataPadding, false)
      at++
    }
    const body = Math.min(this.#dataLeft - this.#dataPadding, length - at)
    const stream = this.#dataStream
    this.#dataLeft -= body
    const bodyDone = this.#dataLeft === this.#dataPadding
    if (stream !== undefined && !stream.closed && (body > 0 || (bodyDone && this.#dataEnds)))
      this.#deliver(stream, bytes, at, at + body, bodyDone && this.#dataEnds)
    this.#bodySeen ||= body > 0
    if (bodyDone) {
      this.#dataStream = undefined
      // Padding around nothing.
      if (!this.#bodySeen && !this.#dataEnds) this.#connection.onCheapFrame('empty-frame-flood', 1)
    }
    at += body
    const padding = bodyDone ? Math.min(this.#dataPadding, length - at) : 0
    this.#dataPadding -= padding
    this.#dataLeft -= padding
    return at + padding
  }

  #deliver(stream: Stream, bytes: Uint8Array, start: number, end: number, ends: boolean): void {
    if (stream.bodyLeft !== BODY_UNSTATED && !this.#connection.countBody(stream, end - start, ends)) return
    if (ends) this.#connection.remoteEnd(stream)
    if (stream.sink === undefined) return
    stream.sink.onData(stream, bytes, start, end, ends)
  }

  /** Which header block is under way: a number of its own, 0 for none. A frame that is cut off counts as one. */
  get unfinished(): number {
    return this.#blockStream !== 0 || this.#partial !== undefined ? this.#begun : 0
  }

  /** Adds to the frame that spans reads, and hands it on when it is whole. */
  #collect(bytes: Uint8Array, at: number, length: number): number {
    if (this.#partial === undefined) {
      this.#partial = new Uint8Array(FRAME_HEAD + limits.frameSizeMax)
      // The frames of one block share its time.
      if (this.#blockStream === 0) this.#begun++
    }
    const partial = this.#partial
    if (this.#partialLength < FRAME_HEAD) {
      at = this.#fill(bytes, at, length, FRAME_HEAD)
      if (this.#partialLength < FRAME_HEAD) return at
    }
    const size = ((partial[0] as number) << 16) | ((partial[1] as number) << 8) | (partial[2] as number)
    if (partial[3] === FRAME.DATA && this.#blockStream === 0) {
      this.#partial = undefined
      this.#partialLength = 0
      this.#beginData(partial, 0, size, FRAME_HEAD)
      return at
    }
    if (size > limits.frameSizeMax) {
      this.#connection.fail(ERROR.FRAME_SIZE_ERROR, 'frame above the size that we allow')
      return length
    }
    at = this.#fill(bytes, at, length, FRAME_HEAD + size)
    if (this.#partialLength < FRAME_HEAD + size) return at
    this.#partial = undefined
    this.#partialLength = 0
    this.#whole(partial, 0, size)
    return at
  }

  #fill(bytes: Uint8Array, at: number, length: number, target: number): number {
    const piece = Math.min(target - this.#partialLength, length - at)
    this.#partial?.set(bytes.subarray(at, at + piece), this.#partialLength)
    this.#partialLength += piece
    return at + piece
  }

  #whole(bytes: Uint8Array, at: number, size: number): void {
    const connection = this.#connection
    const type = bytes[at + 3] as number
    const flags = bytes[at + 4] as number
    const streamId = readStreamId(bytes, at + 5)
    const body = at + FRAME_HEAD
    if (this.#blockStream !== 0 && (type !== FRAME.CONTINUATION || streamId !== this.#blockStream))
      return connection.fail(ERROR.PROTOCOL_ERROR, 'a header block was interrupted')
    if (!this.#settingsSeen && type !== FRAME.SETTINGS) return connection.fail(ERROR.PROTOCOL_ERROR, 'SETTINGS come first')
    switch (type) {
      case FRAME.HEADERS:
        return this.#headers(bytes, body, size, flags, streamId)
      case FRAME.CONTINUATION:
        return this.#continuation(bytes, body, size, flags)
      case FRAME.PRIORITY:
        if (streamId === 0) return connection.fail(ERROR.PROTOCOL_ERROR, 'PRIORITY on stream 0')
        if (size !== 5) return connection.fail(ERROR.FRAME_SIZE_ERROR, 'PRIORITY of a wrong size')
        if (readStreamId(bytes, body) === streamId) return connection.fail(ERROR.PROTOCOL_ERROR, DEPENDS_ON_ITSELF)
        return connection.onCheapFrame('priority-flood', 1)
      case FRAME.RST_STREAM:
        if (streamId === 0) return connection.fail(ERROR.PROTOCOL_ERROR, 'RST_STREAM on stream 0')
        if (size !== 4) return connection.fail(ERROR.FRAME_SIZE_ERROR, 'RST_STREAM of a wrong size')
        return connection.onReset(streamId, readUint32(bytes, body))
      case FRAME.SETTINGS:
        return this.#settings(bytes, body, size, flags, streamId)
      case FRAME.PUSH_PROMISE:
        return connection.fail(ERROR.PROTOCOL_ERROR, 'push is off')
      case FRAME.PING:
        if (streamId !== 0) return connection.fail(ERROR.PROTOCOL_ERROR, 'PING on a stream')
        if (size !== 8) return connection.fail(ERROR.FRAME_SIZE_ERROR, 'PING of a wrong size')
        if ((flags & FLAG.ACK) === 0) return connection.onPing(bytes, body)
        return connection.onPong()
      case FRAME.GOAWAY:
        if (streamId !== 0) return connection.fail(ERROR.PROTOCOL_ERROR, 'GOAWAY on a stream')
        if (size < 8) return connection.fail(ERROR.FRAME_SIZE_ERROR, 'GOAWAY of a wrong size')
        return connection.onGoaway(readUint32(bytes, body) & 0x7fffffff, readUint32(bytes, body + 4))
      case FRAME.WINDOW_UPDATE:
        if (size !== 4) return connection.fail(ERROR.FRAME_SIZE_ERROR, 'WINDOW_UPDATE of a wrong size')
        return connection.onWindowUpdate(streamId, readUint32(bytes, body) & 0x7fffffff)
      default: // an unknown type is ignored (RFC 9113 §5.5), though not for ever
        return connection.onCheapFrame('stray-frame-flood', 1)
    }
  }

  #headers(bytes: Uint8Array, body: number, size: number, flags: number, streamId: number): void {
    const connection = this.#connection
    if (streamId === 0) return connection.fail(ERROR.PROTOCOL_ERROR, 'HEADERS on stream 0')
    let start = body
    let end = body + size
    if ((flags & FLAG.PADDED) !== 0) {
      end -= size > 0 ? (bytes[start] as number) : 0
      start++
    }
    if ((flags & FLAG.PRIORITY) !== 0) {
      if (start + 5 <= end && readStreamId(bytes, start) === streamId) return connection.fail(ERROR.PROTOCOL_ERROR, DEPENDS_ON_ITSELF)
      start += 5
    }
    if (start > end) return connection.fail(ERROR.PROTOCOL_ERROR, 'padding longer than its frame')
    if ((flags & FLAG.END_HEADERS) !== 0) return connection.onHeaderBlock(streamId, bytes, start, end, flags)
    this.#block = new Uint8Array(end - start)
    this.#block.set(bytes.subarray(start, end))
    this.#blockLength = end - start
    this.#begun++
    this.#blockStream = streamId
    this.#blockFlags = flags
    this.#continuations = 0
  }

  #continuation(bytes: Uint8Array, body: number, size: number, flags: number): void {
    const connection = this.#connection
    let block = this.#block
    if (block === undefined) return connection.fail(ERROR.PROTOCOL_ERROR, 'CONTINUATION without HEADERS')
    if (++this.#continuations > limits.continuationsMax || this.#blockLength + size > BLOCK_MAX)
      return connection.trip('continuation-flood', 'header block too long')
    // Grown as it comes: a block that is only begun holds what came of it.
    if (this.#blockLength + size > block.length) {
      const grown = new Uint8Array(Math.min(BLOCK_MAX, 2 * (this.#blockLength + size)))
      grown.set(block.subarray(0, this.#blockLength))
      block = grown
      this.#block = grown
    }
    block.set(bytes.subarray(body, body + size), this.#blockLength)
    this.#blockLength += size
    if ((flags & FLAG.END_HEADERS) === 0) return
    const streamId = this.#blockStream
    this.#blockStream = 0
    this.#block = undefined
    connection.onHeaderBlock(streamId, block, 0, this.#blockLength, this.#blockFlags)
  }

  #settings(bytes: Uint8Array, body: number, size: number, flags: number, streamId: number): void {
    const connection = this.#connection
    if (streamId !== 0) return connection.fail(ERROR.PROTOCOL_ERROR, 'SETTINGS on a stream')
    const isAck = (flags & FLAG.ACK) !== 0
    if (size % 6 !== 0 || (isAck && size !== 0)) return connection.fail(ERROR.FRAME_SIZE_ERROR, 'SETTINGS of a wrong size')
    if (!isAck) this.#settingsSeen = true
    else if (!this.#settingsSeen) return connection.fail(ERROR.PROTOCOL_ERROR, 'SETTINGS come first')
    if (isAck) return connection.onCheapFrame('settings-flood', 1)
    // Each entry may cost a look at every stream.
    connection.onCheapFrame('settings-flood', 1 + size / 6)
    for (let at = body; at < body + size && !connection.dead; at += 6)
      connection.onSetting(((bytes[at] as number) << 8) | (bytes[at + 1] as number), readUint32(bytes, at + 2))
    if (!connection.dead) connection.onSettingsEnd()
  }
}

const readUint32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at] as number) * 0x1000000 + (((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number))

const readStreamId = (bytes: Uint8Array, at: number): number =>
  (((bytes[at] as number) & 0x7f) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)
