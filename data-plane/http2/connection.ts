/**
 * One HTTP/2 connection, either side, bytes in and bytes out: no socket, no timer, no clock.
 * `receive` walks the frames of a read where they lie. A DATA frame is passed on piece by piece as it arrives, as frames of our own, so nothing
 * is begun on another connection that its sender has not delivered yet. Every header block is decoded in order, also for refused streams.
 */
import { assert } from '../../core/assert.ts'
import { limits } from '../../core/limits.ts'
import { ClosedStreams } from './closed-streams.ts'
import type { ConnectionEvents, Role } from './connection-events.ts'
import { type FrameListener, FrameReader } from './frame-reader.ts'
import type { Guard } from './guard.ts'
import { answerBodyLength, areTrailers, isInformational, NO_ANSWER } from './head-rules.ts'
import type { HeaderField } from './header-field.ts'
import { HpackDecoder } from './hpack-decoder.ts'
import { SETTINGS_OF_CLIENT, SETTINGS_OF_SERVER } from './output.ts'
import { largestWaiting, Patience, stalledStreams } from './patience.ts'
import { ERROR, FLAG, FRAME, PREFACE, SETTING, STREAM_ID_ALL, WINDOW_DEFAULT } from './protocol.ts'
import { SendSide } from './send-side.ts'
import type { Shared } from './shared.ts'
import { BODY_UNSTATED, type LossCause, Stream, type StreamHost } from './stream.ts'

export class Connection extends SendSide implements StreamHost, FrameListener {
  /** No further stream is opened on it: the peer said GOAWAY, we did, or its ids are used up. */
  retiring = false
  dead = false
  /** The peer's first SETTINGS have come. */
  settled = false
  /** Why the peer said GOAWAY; undefined while it has not. */
  goawayCode: number | undefined
  /** No id above it is used: `retiring` comes long before ids run out. */
  streamIdMax: number = limits.streamIdMax
  /** They change with every read, and with every frame of a message or a head: silence shows by their standing still. */
  reads = 0
  /** Answers to pings. */
  pongs = 0
  talk = 0
  readonly #events: ConnectionEvents
  readonly #reader: FrameReader
  readonly #decoder = new HpackDecoder(limits.headerTableSize, { listSizeMax: limits.headerListMax, fieldsMax: limits.headerFieldsMax })
  #receiveWindow: number = limits.connectionWindow
  #unreturned = 0
  #nextStreamId = 1
  #lastPeerStream = 0
  #lastServed = STREAM_ID_ALL
  #streamsLeft = 0
  readonly #closed: ClosedStreams | undefined
  #controlQueued = 0
  readonly #patience = new Patience()
  #recent: Stream | undefined

  constructor(role: Role, events: ConnectionEvents, shared: Shared) {
    super(
      role,
      shared,
      () => events.onOutput(this),
      () => events.onOutputFull(this),
    )
    this.#events = events
    this.#closed = role === 'server' ? new ClosedStreams() : undefined
    this.#reader = new FrameReader(this, role === 'server')
    if (role === 'client') this.output.preface(PREFACE)
    this.output.settings(role === 'client' ? SETTINGS_OF_CLIENT : SETTINGS_OF_SERVER)
    this.output.windowUpdate(0, limits.connectionWindow - WINDOW_DEFAULT)
  }

  /**
   * Takes `bytes` from `from` to `length` and answers how far it came: with many new streams in one read, the rest is to be given again in a later turn,
   * so that nobody's burst holds up the others.
   */
  receive(bytes: Uint8Array, length: number, from = 0): number {
    if (this.dead) return length
    this.reads = (this.reads + 1) | 0
    this.#streamsLeft = limits.streamsPerTurn
    return this.#reader.read(bytes, length, from)
  }

  get hadEnough(): boolean {
    return this.#streamsLeft <= 0
  }

  // ——— what the owner does ———

  /** Streams that the peer lets us have open. */
  get peerStreamsMax(): number {
    return this.peer.streamsMax
  }

  /** Before its SETTINGS a server is believed to allow so many, where there is reason to know better than the usual. */
  assumeStreams(count: number): void {
    if (!this.settled) this.peer.streamsMax = count
  }

  /** Whether `open` may be called. */
  get canOpen(): boolean {
    return !this.retiring && !this.dead && this.streams.size < this.peer.streamsMax
  }

  /** Opens a stream of ours. The caller has looked at `canOpen`. */
  open(fields: readonly HeaderField[], endStream: boolean): Stream {
    assert(this.canOpen && this.role === 'client', 'a stream is opened only where there is room')
    const stream = new Stream(this.#nextStreamId, this, this.peer.initialWindow, false)
    this.#nextStreamId += 2
    if (this.#nextStreamId >= this.streamIdMax) this.retiring = true
    this.purse.earned += limits.cheapFramesPerFrame
    this.streams.set(stream.id, stream)
    stream.sendHead(fields, endStream)
    return stream
  }

  /** The socket has taken bytes: streams that waited get their turn. */
  onSocketTook(): void {
    this.#controlQueued = 0
    this.drain()
  }

  /** The engine has no clock: its owner tells it of each second that passed. */
  everySecond(): void {
    if (this.dead) return
    this.purse.everySecond()
    const slow = this.#patience.everySecond(this.settled, this.#reader.unfinished)
    if (slow !== undefined) return this.trip(slow, slow === 'slow-headers' ? 'a header block does not end' : 'no SETTINGS')
    // A server may take its time: what its clients send waits within their windows.
    if (this.role === 'client' || this.waitingBytes === 0) return
    for (const stream of stalledStreams(this.streams.values())) this.#giveUp(stream, 'stalled-stream')
  }

  /** At the end of a turn: what waits on too many streams at once is cut back, the largest first. */
  shed(): void {
    if (this.waitingBytes <= limits.waitingMax) return
    for (const stream of largestWaiting(this.streams.values(), this.waitingBytes)) this.#giveUp(stream, 'waiting-bytes')
  }

  /** Asks the peer whether it is there; whatever it sends is an answer. */
  ping(): void {
    this.output.ping(PING_PAYLOAD, 0, false)
  }

  /** First step of a graceful end: the peer is asked to open no more. */
  announceShutdown(): void {
    this.retiring = true
    this.output.goaway(STREAM_ID_ALL, ERROR.NO_ERROR, 'shutdown')
  }

  /** Second step: streams above the last one seen are not served; those below finish. */
  finishShutdown(): void {
    this.#lastServed = this.#lastPeerStream
    this.output.goaway(this.#lastPeerStream, ERROR.NO_ERROR, 'shutdown')
  }

  /** The socket is gone, or never came. Tells so many streams; answers whether more are left, which are to be told in a later turn. */
  lose(cause: LossCause, most: number = Number.POSITIVE_INFINITY): boolean {
    this.dead = true
    for (const stream of this.streams.values()) {
      if (most-- <= 0) return true
      this.close(stream)
      stream.sink?.onLost(stream, cause)
    }
    return false
  }

  // ——— what streams ask for ———

  /** We sent END_STREAM on it. */
  ended(stream: Stream): void {
    stream.localEnded = true
    if (stream.remoteEnded) this.close(stream)
    else if (this.role === 'server') {
      // An answer that ends before its request: the client is told to stop sending (RFC 9113 §8.1).
      this.output.reset(stream.id, ERROR.NO_ERROR)
      this.close(stream)
    }
  }

  resetFaulty(stream: Stream, code: number): void {
    if (stream.closed) return
    stream.reset(code)
    this.#countProvoked()
  }

  close(stream: Stream): void {
    if (stream.closed) return
    stream.closed = true
    if (stream.waiting !== undefined) {
      this.unqueue(stream.waiting.length)
      stream.waiting.clear()
      stream.waiting = undefined
    }
    this.windowBudget.give(stream.grownWindow)
    this.streams.delete(stream.id)
    this.#closed?.remember(stream.id, stream.remoteEnded)
    if (this.#recent === stream) this.#recent = undefined
    if (this.role === 'client') this.#events.onCapacity(this)
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
    if (id === SETTING.MAX_CONCURRENT_STREAMS && this.role === 'client') this.#events.onCapacity(this)
    if (!this.shiftStreams(this.peer.initialWindow - earlier)) this.fail(ERROR.FLOW_CONTROL_ERROR, 'a stream window overflows')
  }

  onSettingsEnd(): void {
    if (!this.settled) {
      this.settled = true
      this.peer.end()
      this.#events.onCapacity(this)
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
    this.#events.onCapacity(this)
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

  /** The peer broke the protocol, or a guard ends the connection: GOAWAY, then the end. */
  fail(code: number, reason: string): void {
    if (this.dead) return
    if (code !== ERROR.ENHANCE_YOUR_CALM) this.tally.guards.protocol++
    this.output.goaway(this.#lastPeerStream, code, reason)
    this.lose('broken')
    this.#events.onFatal(this, code, reason)
  }

  onCheapFrame(kind: Guard, count: number): void {
    if (!this.purse.takeCheap(count)) this.trip(kind, TOO_MANY)
  }

  /** A guard ends the connection. */
  trip(guard: Guard, reason: string): void {
    if (this.dead) return
    this.tally.guards[guard]++
    this.fail(ERROR.ENHANCE_YOUR_CALM, reason)
  }

  countFrames(count: number): void {
    this.tally.framesIn += count
  }

  #onNewStream(streamId: number, fields: HeaderField[], endStream: boolean, result: 'ok' | 'too-large' | 'malformed'): void {
    if (streamId % 2 === 0) return this.fail(ERROR.PROTOCOL_ERROR, 'a client opens odd streams')
    if (streamId <= this.#lastPeerStream) return this.#onNoStream(streamId, FRAME.HEADERS)
    this.#lastPeerStream = streamId
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
    if (result === 'ok') return this.#events.onRequest(stream, fields, endStream)
    this.#events.onBadRequest(stream, result)
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

  /** Its reader holds more than it is due. */
  #giveUp(stream: Stream, guard: Guard): void {
    this.tally.guards[guard]++
    this.tally.resetsOut++
    stream.reset(ERROR.ENHANCE_YOUR_CALM)
    stream.sink?.onLost(stream, 'protocol')
  }

  #isIdle(streamId: number): boolean {
    if (streamId % 2 === 1 && this.role === 'server') return streamId > this.#lastPeerStream
    return streamId % 2 === 0 || streamId >= this.#nextStreamId
  }

  #countControl(): void {
    if (++this.#controlQueued > limits.controlFramesQueuedMax) this.trip('unread-output', 'acknowledgements are not read')
  }
}

const PING_PAYLOAD = Uint8Array.from('millrace', (letter) => letter.charCodeAt(0))
const TOO_MANY = 'too many frames that carry nothing'
