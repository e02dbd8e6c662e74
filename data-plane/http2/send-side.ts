/**
 * What one connection may send and what waits for it: its window, its socket's backlog, its streams in turn, and what its sending earns the peer.
 * The base of a connection, not a part of it: each DATA frame passes here, and one object more would be one look more.
 */
import { limits } from '../../core/limits.ts'
import type { Role } from './connection-events.ts'
import { Purse } from './guard.ts'
import { Output } from './output.ts'
import { PeerSettings } from './peer-settings.ts'
import { FRAME_HEAD, WINDOW_DEFAULT, WINDOW_MAX } from './protocol.ts'
import { SendRound } from './send-round.ts'
import type { EngineTally, Shared, WindowBudget } from './shared.ts'
import type { Stream } from './stream.ts'

/** A socket that has room for less is left to drain: frames of a few bytes would cost more than they carry. */
const SMALLEST_TURN = 1_024

export abstract class SendSide {
  readonly role: Role
  readonly output: Output
  readonly windowBudget: WindowBudget
  readonly streams = new Map<number, Stream>()
  /** Bytes that the socket has and the peer has not taken; kept up to date by the owner of the socket. */
  socketBacklog = 0
  /** Bytes that wait for windows, over all streams. */
  waitingBytes = 0
  protected readonly tally: EngineTally
  protected readonly peer: PeerSettings
  protected readonly purse = new Purse()
  readonly #wake: () => void
  readonly #round = new SendRound()
  #window = WINDOW_DEFAULT
  #windowsGrew = false

  /** `wake` and `full` are told when there is output, and when it fills a slab. */
  constructor(role: Role, shared: Shared, wake: () => void, full: () => void) {
    this.role = role
    this.tally = shared.tally
    this.windowBudget = shared.windowBudget
    this.peer = new PeerSettings(role === 'client')
    this.#wake = wake
    this.output = new Output(shared.slabs, wake, full)
  }

  /** Bytes that may be sent now; 0 while the socket is behind. */
  credit(): number {
    const room = limits.socketBacklogMax - FRAME_HEAD - this.output.size - this.socketBacklog
    return room < SMALLEST_TURN ? 0 : Math.min(room, this.#window)
  }

  hasCreditFor(length: number): boolean {
    return length <= this.#window && this.output.size + this.socketBacklog + FRAME_HEAD + length <= limits.socketBacklogMax
  }

  spend(length: number): void {
    this.#window -= length
    this.purse.earned += limits.cheapFramesPerFrame
  }

  spendWaited(length: number): void {
    this.#window -= length
    if (length >= limits.dribbleBelow) this.purse.earned += limits.cheapFramesPerFrame
  }

  queue(length: number): void {
    this.tally.queuedBytes += length
    this.waitingBytes += length
    // Streams are reset only from the end of the turn: here one is in the middle of a send.
    if (this.waitingBytes > limits.waitingMax) this.#wake()
  }

  unqueue(length: number): void {
    this.tally.queuedBytes -= length
    this.waitingBytes -= length
  }

  joinRound(stream: Stream): void {
    this.#round.join(stream)
  }

  protected drain(): void {
    this.#round.drain(this)
  }

  /** The window of the connection grows; false: beyond what a window may be. */
  protected widen(increment: number): boolean {
    this.#window += increment
    if (this.#window > WINDOW_MAX) return false
    this.drain()
    return true
  }

  /** The window of one stream. */
  protected widenStream(stream: Stream, increment: number): boolean {
    stream.sendWindow += increment
    if (stream.sendWindow > WINDOW_MAX) return false
    if (stream.waiting !== undefined && stream.sendWindow > 0) {
      this.joinRound(stream)
      this.drain()
    }
    return true
  }

  /** The windows of all streams, by a changed INITIAL_WINDOW_SIZE; what they let out waits for `drainWidened`. */
  protected shiftStreams(change: number): boolean {
    if (change === 0) return true
    for (const stream of this.streams.values()) {
      stream.sendWindow += change
      if (stream.sendWindow > WINDOW_MAX) return false
    }
    this.#windowsGrew ||= change > 0
    return true
  }

  protected drainWidened(): void {
    if (!this.#windowsGrew) return
    this.#windowsGrew = false
    for (const stream of this.streams.values()) if (stream.waiting !== undefined && stream.sendWindow > 0) this.joinRound(stream)
    this.drain()
  }
}
