/**
 * What the frames of a peer mean: for the streams, for the windows it was given, and for what it may cost us. The base of a connection, as the send side is its.
 * A DATA frame is passed on piece by piece as it arrives, so nothing is begun on another connection that its sender has not delivered yet. Every
 * header block is decoded in order, also for refused streams.
 */
import { limits } from '../../core/limits.ts'
import { ClosedStreams } from './closed-streams.ts'
import type { ConnectionEvents, Role } from './connection-events.ts'
import { type FrameListener, FrameReader } from './frame-reader.ts'
import type { Guard } from './guard.ts'
import { answerBodyLength, areTrailers, isInformational, NO_ANSWER } from './head-rules.ts'
import type { HeaderField } from './header-field.ts'
import { HpackDecoder } from './hpack-decoder.ts'
import { ERROR, FLAG, FRAME, SETTING, STREAM_ID_ALL } from './protocol.ts'
import { SendSide } from './send-side.ts'
import type { Shared } from './shared.ts'
import { BODY_UNSTATED, Stream, type StreamHost } from './stream.ts'

export abstract class ReceiveSide extends SendSide implements StreamHost, FrameListener {
  dead = false
  /** No further stream is opened on it: the peer said GOAWAY, we did, or its ids are used up. */
  retiring = false
  /** The peer's first SETTINGS have come. */
  settled = false
  /** Why the peer said GOAWAY; undefined while it has not. */
  goawayCode: number | undefined
  /** They change with every read, and with every frame of a message or a head: silence shows by their standing still. */
  reads = 0
  /** Answers to pings. */
  pongs = 0
  talk = 0
  /** Of the next stream of ours. */
  protected nextStreamId = 1
  protected lastPeerStream = 0
  protected readonly events: ConnectionEvents
  protected readonly reader: FrameReader
  readonly #decoder = new HpackDecoder(limits.headerTableSize, { listSizeMax: limits.headerListMax, fieldsMax: limits.headerFieldsMax })
  readonly #closed: ClosedStreams | undefined
  #receiveWindow: number = limits.connectionWindow
  #unreturned = 0
  #lastServed = STREAM_ID_ALL
  #streamsLeft = 0
  #controlQueued = 0
  #recent: Stream | undefined

  constructor(role: Role, events: ConnectionEvents, shared: Shared, wake: () => void, full: () => void) {
    super(role, shared, wake, full)
    this.events = events
    this.#closed = role === 'server' ? new ClosedStreams() : undefined
    this.reader = new FrameReader(this, role === 'server')
  }

  /** The peer broke the protocol, or a guard ends the connection: GOAWAY, then the end. */
  abstract fail(code: number, reason: string): void
  abstract ended(stream: Stream): void
  abstract close(stream: Stream): void
  /** More streams may be open than before, or fewer. */
  protected abstract capacityChanged(): void

  /**
   * Takes `bytes` from `from` to `length` and answers how far it came: with many new streams in one read, the rest is to be given again in a later turn,
   * so that nobody's burst holds up the others.
   */
  receive(bytes: Uint8Array, length: number, from = 0): number {
    if (this.dead) return length
    this.reads = (this.reads + 1) | 0
    this.#streamsLeft = limits.streamsPerTurn
    return this.reader.read(bytes, length, from)
  }

  get hadEnough(): boolean {
    return this.#streamsLeft <= 0
  }

  /** The socket has taken what we acknowledged, too. */
  protected acknowledgementsLeft(): void {
    this.#controlQueued = 0
  }

  /** Streams above the last one seen are not served any more. */
  protected serveNoFurther(): void {
    this.#lastServed = this.lastPeerStream
  }

  /** A stream that is closed now. */
  protected forget(stream: Stream): void {
    this.streams.delete(stream.id)
    this.#closed?.remember(stream.id, stream.remoteEnded)
    if (this.#recent === stream) this.#recent = undefined
  }

  // ——— what the frame reader found; lengths and flags are already checked there ———

  /** The stream that DATA may be delivered to; windows are charged for the whole frame. Undefined: the payload is to be skipped. */
  beginData(streamId: number, length: number): Stream | undefined {
    this.talk = (this.talk + 1) | 0
    this.#receiveWindow -= length
    if (this.#receiveWindow < 0) {
      this.fail(ERROR.FLOW_CONTROL_ERROR, 'DATA beyond the connection window')
      return undefined
    }
    this.#unreturned += length
    if (this.#unreturned >= limits.connectionWindow >>> 2) {
      this.output.windowUpdate(0, this.#unreturned)
      this.#receiveWindow += this.#unreturned
      this.#unreturned = 0
    }
    const recent = this.#recent
    const stream = recent !== undefined && recent.id === streamId ? recent : this.streams.get(streamId)
    if (stream === undefined) {
      this.#onNoStream(streamId, FRAME.DATA)
      return undefined
    }
    this.#recent = stream
    stream.receiveWindow -= length
    if (stream.remoteEnded || !stream.headReceived || stream.receiveWindow < 0) {
      const code = stream.remoteEnded ? ERROR.STREAM_CLOSED : stream.headReceived ? ERROR.FLOW_CONTROL_ERROR : ERROR.PROTOCOL_ERROR
      this.#resetAndTell(stream, code)
      return undefined
    }
    return stream
  }

  countBody(stream: Stream, length: number, ends: boolean): boolean {
    const left = stream.bodyLeft - length
    stream.bodyLeft = left
    if (left === 0 || (left > 0 && !ends)) return true
    this.#resetAndTell(stream, ERROR.PROTOCOL_ERROR)
    return false
  }

  onHeaderBlock(streamId: number, block: Uint8Array, start: number, end: number, flags: number): void {
    this.talk = (this.talk + 1) | 0
    const fields: HeaderField[] = []
    const result = this.#decoder.decode(block, start, end, fields)
    if (result === 'broken') return this.fail(ERROR.COMPRESSION_ERROR, 'header block cannot be decoded')
    const endStream = (flags & FLAG.END_STREAM) !== 0
    const stream = this.streams.get(streamId)
    if (result === 'too-large') this.tally.guards['header-list']++
    if (stream !== undefined) {
      if (result === 'ok') this.#onLaterHead(stream, fields, endStream)
      else this.#resetAndTell(stream, ERROR.PROTOCOL_ERROR)
    } else if (this.role === 'server') this.#onNewStream(streamId, fields, endStream, result)
    else this.#onNoStream(streamId, FRAME.HEADERS)
  }

  #onNewStream(streamId: number, fields: HeaderField[], endStream: boolean, result: 'ok' | 'too-large' | 'malformed'): void {
    if (streamId % 2 === 0) return this.fail(ERROR.PROTOCOL_ERROR, 'a client opens odd streams')
    if (streamId <= this.lastPeerStream) return this.#onNoStream(streamId, FRAME.HEADERS)
    this.lastPeerStream = streamId
    this.#streamsLeft--
    if (this.output.size + this.socketBacklog > limits.unreadOutputMax) return this.trip('unread-output', 'answers are not read')
    if (streamId > this.#lastServed || this.streams.size >= limits.downstreamStreamsMax) {
      this.#closed?.remember(streamId, endStream)
      if (streamId > this.#lastServed) return
      this.output.reset(streamId, ERROR.REFUSED_STREAM)
      return this.#countProvoked()
    }
    this.purse.earned += limits.cheapFramesPerFrame
    const stream = new Stream(streamId, this, this.peer.initialWindow, true)
    stream.remoteEnded = endStream
    this.streams.set(streamId, stream)
    if (result === 'ok') return this.events.onRequest(stream, fields, endStream)
    this.events.onBadRequest(stream, result)
    // The answer that it gets is worth a reset: a head that is too large has cost us its decoding.
    if (result === 'too-large') this.#countProvoked()
  }

  #onLaterHead(stream: Stream, fields: HeaderField[], endStream: boolean): void {
    if (stream.remoteEnded) return this.#resetAndTell(stream, ERROR.STREAM_CLOSED)
    if (!stream.headReceived) {
      const bodyLength = answerBodyLength(fields)
      if (bodyLength === NO_ANSWER) return this.#resetAndTell(stream, ERROR.PROTOCOL_ERROR)
      if (isInformational(fields)) {
        this.onCheapFrame('empty-frame-flood', 1)
        if (endStream) this.#resetAndTell(stream, ERROR.PROTOCOL_ERROR)
        return
      }
      stream.headReceived = true
      stream.bodyLeft = bodyLength
      if (endStream) this.remoteEnd(stream)
      stream.sink?.onHead(stream, fields, endStream)
    } else if (endStream && areTrailers(fields) && (stream.bodyLeft === BODY_UNSTATED || stream.bodyLeft === 0)) {
      this.remoteEnd(stream)
      stream.sink?.onTrailers(stream, fields)
    } else this.#resetAndTell(stream, ERROR.PROTOCOL_ERROR)
  }

  /** The reader calls it before it delivers the last bytes, so that an owner who answers from inside sees a finished request. */
  remoteEnd(stream: Stream): void {
    stream.remoteEnded = true
    if (stream.localEnded) this.close(stream)
  }

  onReset(streamId: number, code: number): void {
    if (this.#isIdle(streamId)) return this.fail(ERROR.PROTOCOL_ERROR, 'RST_STREAM on an idle stream')
    this.tally.resetsIn++
    if (this.role === 'server' && !this.purse.takeReset()) return this.trip('rapid-reset', 'too many resets')
    const stream = this.streams.get(streamId)
    if (stream === undefined) return this.#closed?.peerReset(streamId)
    stream.remoteEnded = true
    this.close(stream)
    stream.sink?.onReset(stream, code)
  }

  onSetting(id: number, value: number): void {
    const earlier = this.peer.initialWindow
    const code = this.peer.take(id, value)
    if (code !== ERROR.NO_ERROR) return this.fail(code, `SETTINGS have no such value for ${id}`)
    if (id === SETTING.MAX_CONCURRENT_STREAMS && this.role === 'client') this.capacityChanged()
    if (!this.shiftStreams(this.peer.initialWindow - earlier)) this.fail(ERROR.FLOW_CONTROL_ERROR, 'a stream window overflows')
  }

  onSettingsEnd(): void {
    if (!this.settled) {
      this.settled = true
      this.peer.end()
      this.capacityChanged()
    }
    this.output.settingsAck()
    this.#countControl()
    // Only behind the acknowledgement may bytes go out that the old windows did not allow.
    this.drainWidened()
  }

  onPing(source: Uint8Array, start: number): void {
    this.onCheapFrame('ping-flood', 1)
    if (this.dead) return
    this.output.ping(source, start, true)
    this.#countControl()
  }

  onPong(): void {
    this.pongs = (this.pongs + 1) | 0
    this.onCheapFrame('stray-frame-flood', 1)
  }

  onGoaway(lastStreamId: number, code: number): void {
    if (this.retiring) this.onCheapFrame('stray-frame-flood', 1)
    if (this.dead) return
    this.retiring = true
    this.goawayCode = code
    if (this.role === 'client')
      for (const stream of [...this.streams.values()])
        if (stream.id > lastStreamId) {
          this.close(stream)
          stream.sink?.onLost(stream, 'unprocessed')
        }
    this.capacityChanged()
  }

  onWindowUpdate(streamId: number, increment: number): void {
    if (!this.purse.takeCheap(1)) return this.trip('window-update-flood', TOO_MANY)
    if (streamId === 0) {
      if (increment === 0) return this.fail(ERROR.PROTOCOL_ERROR, 'WINDOW_UPDATE of 0')
      if (!this.widen(increment)) this.fail(ERROR.FLOW_CONTROL_ERROR, 'connection window overflows')
      return
    }
    if (this.#isIdle(streamId)) return this.fail(ERROR.PROTOCOL_ERROR, 'WINDOW_UPDATE on an idle stream')
    const stream = this.streams.get(streamId)
    if (stream === undefined) return increment === 0 ? this.fail(ERROR.PROTOCOL_ERROR, 'WINDOW_UPDATE of 0') : undefined
    if (increment === 0) return this.#resetAndTell(stream, ERROR.PROTOCOL_ERROR)
    if (!this.widenStream(stream, increment)) this.#resetAndTell(stream, ERROR.FLOW_CONTROL_ERROR)
  }

  countFrames(count: number): void {
    this.tally.framesIn += count
  }

  // ——— what breaks the protocol, or costs too much ———

  onCheapFrame(kind: Guard, count: number): void {
    if (!this.purse.takeCheap(count)) this.trip(kind, TOO_MANY)
  }

  /** A guard ends the connection. */
  trip(guard: Guard, reason: string): void {
    if (this.dead) return
    this.tally.guards[guard]++
    this.fail(ERROR.ENHANCE_YOUR_CALM, reason)
  }

  resetFaulty(stream: Stream, code: number): void {
    if (stream.closed) return
    stream.reset(code)
    this.#countProvoked()
  }

  #resetAndTell(stream: Stream, code: number): void {
    if (stream.closed) return
    stream.reset(code)
    stream.sink?.onLost(stream, 'protocol')
    this.#countProvoked()
  }

  /** The peer has made us reset a stream: it costs us what a reset of its own would. */
  #countProvoked(): void {
    this.tally.resetsOut++
    if (this.role === 'server' && !this.purse.takeReset()) this.trip('provoked-reset', 'too many streams against the protocol')
  }

  /** What was under way while we closed the stream needed no more than to be counted or decoded. */
  #onNoStream(streamId: number, type: number): void {
    if (this.#isIdle(streamId)) return this.fail(ERROR.PROTOCOL_ERROR, 'a frame on an idle stream')
    const code = this.#closed === undefined ? ERROR.NO_ERROR : this.#closed.errorOf(streamId, type)
    if (code !== ERROR.NO_ERROR) this.fail(code, 'a frame on a closed stream')
  }

  #isIdle(streamId: number): boolean {
    if (streamId % 2 === 1 && this.role === 'server') return streamId > this.lastPeerStream
    return streamId % 2 === 0 || streamId >= this.nextStreamId
  }

  #countControl(): void {
    if (++this.#controlQueued > limits.controlFramesQueuedMax) this.trip('unread-output', 'acknowledgements are not read')
  }
}

const TOO_MANY = 'too many frames that carry nothing'
