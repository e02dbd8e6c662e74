/**
 * One HTTP/2 connection, either side, bytes in and bytes out: no socket, no timer, no clock. Here is what its owner does with it, and how its streams
 * and the connection itself end; what may be sent is on the send side, what the peer's frames mean on the receive side.
 * Invariant: whoever ends a stream or a connection comes by here, so that nothing of it is left in windows, rounds and budgets.
 */
import { assert } from '../../core/assert.ts'
import { limits } from '../../core/limits.ts'
import type { ConnectionEvents, Role } from './connection-events.ts'
import type { Guard } from './guard.ts'
import type { HeaderField } from './header-field.ts'
import { SETTINGS_OF_CLIENT, SETTINGS_OF_SERVER } from './output.ts'
import { largestWaiting, Patience, stalledStreams } from './patience.ts'
import { ERROR, PREFACE, STREAM_ID_ALL, WINDOW_DEFAULT } from './protocol.ts'
import { ReceiveSide } from './receive-side.ts'
import type { Shared } from './shared.ts'
import { type LossCause, Stream } from './stream.ts'

export class Connection extends ReceiveSide {
  /** No id above it is used: `retiring` comes long before ids run out. */
  streamIdMax: number = limits.streamIdMax
  readonly #patience = new Patience()

  constructor(role: Role, events: ConnectionEvents, shared: Shared) {
    super(
      role,
      events,
      shared,
      () => events.onOutput(this),
      () => events.onOutputFull(this),
    )
    if (role === 'client') this.output.preface(PREFACE)
    this.output.settings(role === 'client' ? SETTINGS_OF_CLIENT : SETTINGS_OF_SERVER)
    this.output.windowUpdate(0, limits.connectionWindow - WINDOW_DEFAULT)
  }

  // ——— streams of ours ———

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
    const stream = new Stream(this.nextStreamId, this, this.peer.initialWindow, false)
    this.nextStreamId += 2
    if (this.nextStreamId >= this.streamIdMax) this.retiring = true
    this.purse.earned += limits.cheapFramesPerFrame
    this.streams.set(stream.id, stream)
    stream.sendHead(fields, endStream)
    return stream
  }

  protected capacityChanged(): void {
    this.events.onCapacity(this)
  }

  // ——— time passes, and the socket takes ———

  /** The socket has taken bytes: streams that waited get their turn. */
  onSocketTook(): void {
    this.acknowledgementsLeft()
    this.drain()
  }

  /** The engine has no clock: its owner tells it of each second that passed. */
  everySecond(): void {
    if (this.dead) return
    this.purse.everySecond()
    const slow = this.#patience.everySecond(this.settled, this.reader.unfinished)
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

  // ——— how streams end ———

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

  close(stream: Stream): void {
    if (stream.closed) return
    stream.closed = true
    if (stream.waiting !== undefined) {
      this.unqueue(stream.waiting.length)
      stream.waiting.clear()
      stream.waiting = undefined
    }
    this.windowBudget.give(stream.grownWindow)
    this.forget(stream)
    if (this.role === 'client') this.events.onCapacity(this)
  }

  /** Its reader holds more than it is due. */
  #giveUp(stream: Stream, guard: Guard): void {
    this.tally.guards[guard]++
    this.tally.resetsOut++
    stream.reset(ERROR.ENHANCE_YOUR_CALM)
    stream.sink?.onLost(stream, 'protocol')
  }

  // ——— how the connection ends ———

  /** First step of a graceful end: the peer is asked to open no more. */
  announceShutdown(): void {
    this.retiring = true
    this.output.goaway(STREAM_ID_ALL, ERROR.NO_ERROR, 'shutdown')
  }

  /** Second step: streams above the last one seen are not served; those below finish. */
  finishShutdown(): void {
    this.serveNoFurther()
    this.output.goaway(this.lastPeerStream, ERROR.NO_ERROR, 'shutdown')
  }

  fail(code: number, reason: string): void {
    if (this.dead) return
    if (code !== ERROR.ENHANCE_YOUR_CALM) this.tally.guards.protocol++
    this.output.goaway(this.lastPeerStream, code, reason)
    this.lose('broken')
    this.events.onFatal(this, code, reason)
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
}

const PING_PAYLOAD = Uint8Array.from('millrace', (letter) => letter.charCodeAt(0))
