/**
 * Joins a socket and an HTTP/2 connection. Output of all links leaves once per turn of the event loop, in one write per socket where it can.
 * Invariant: memory handed to a socket is reused only after the socket has taken it.
 */
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { limits } from '../../core/limits.ts'
import { Connection } from '../http2/connection.ts'
import type { ConnectionEvents, Role } from '../http2/connection-events.ts'
import type { Slab } from '../http2/copy-bytes.ts'
import type { HeaderField } from '../http2/header-field.ts'
import type { Gathered } from '../http2/output.ts'
import { ERROR } from '../http2/protocol.ts'
import type { Shared } from '../http2/shared.ts'
import type { LossCause, Stream } from '../http2/stream.ts'

export type LinkOwner = {
  onRequest(stream: Stream, fields: HeaderField[], endStream: boolean): void
  onBadRequest(stream: Stream, problem: 'too-large' | 'malformed'): void
  onCapacity(link: SocketLink): void
  /** The socket is gone; every stream has been told. */
  onClosed(link: SocketLink, cause: LossCause, detail: string): void
}

/** Links with output, flushed together at the end of the turn. */
export class Flusher {
  #dirty: SocketLink[] = []
  #scheduled = false

  add(link: SocketLink): void {
    this.#dirty.push(link)
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(this.#run)
  }

  readonly #run = (): void => {
    this.#scheduled = false
    const links = this.#dirty
    this.#dirty = []
    for (const link of links) link.flush()
  }
}

const NOTHING = Buffer.alloc(0)

export class SocketLink implements ConnectionEvents {
  readonly connection: Connection
  readonly socket: Socket
  readonly #owner: LinkOwner
  readonly #flusher: Flusher
  readonly #shared: Shared
  /** Slabs that the socket has not taken whole. */
  readonly #lent: Slab[] = []
  #dirty = false
  #watching = false
  /** Seconds for which the socket has not taken what it was given. */
  #unread = 0
  /** Came, and waits for its turn behind the streams that were begun in this one. */
  #held: Buffer = NOTHING
  #heldAt = 0
  #detail = ''
  #connected: boolean
  readonly #encrypted: boolean

  constructor(socket: Socket, role: Role, owner: LinkOwner, flusher: Flusher, shared: Shared) {
    this.socket = socket
    this.#owner = owner
    this.#flusher = flusher
    this.#shared = shared
    this.#connected = role === 'server'
    this.#encrypted = socket instanceof TLSSocket
    this.connection = new Connection(role, this, shared)
    socket.setNoDelay(true)
    socket.on('error', (error: Error) => {
      this.#detail = error.message
    })
    socket.on('close', this.#tellLost)
  }

  /** A thousand streams that end at once are a thousand answers, resets or retries: so many a turn, as when they begin. */
  readonly #tellLost = (): void => {
    const cause = this.#connected ? 'broken' : 'unreachable'
    if (this.connection.lose(cause, limits.streamsPerTurn)) setImmediate(this.#tellLost)
    else this.#owner.onClosed(this, cause, this.#detail)
  }

  get connected(): boolean {
    return this.#connected
  }

  /** A socket that was dialled has reached its peer. */
  up(): void {
    this.#connected = true
  }

  /** The rest of a read waits for later turns; meanwhile nothing is to be read from the socket. */
  get behind(): boolean {
    return this.#held !== NOTHING
  }

  /** What was read. The bytes are the caller's again when it returns. */
  take(bytes: Uint8Array, length: number): void {
    // TLS hands on what it has decrypted, whether it was asked for or not.
    if (this.behind) this.#held = Buffer.concat([this.#held, bytes.subarray(0, length)])
    else {
      const taken = this.connection.receive(bytes, length)
      if (taken === length) return
      this.#held = Buffer.from(bytes.subarray(taken, length))
      this.#heldAt = 0
      setImmediate(this.#takeHeld)
    }
  }

  readonly #takeHeld = (): void => {
    this.#heldAt = this.connection.receive(this.#held, this.#held.length, this.#heldAt)
    if (this.#heldAt < this.#held.length) return void setImmediate(this.#takeHeld)
    this.#held = NOTHING
    if (!this.socket.destroyed) this.socket.resume()
  }

  everySecond(): void {
    this.connection.everySecond()
    if (!this.#watching || ++this.#unread * 1_000 <= limits.unreadSocketMax) return
    // Nothing can be said to a peer that does not read.
    this.#shared.tally.guards['unread-output']++
    this.#detail = 'the peer does not read'
    this.socket.destroy()
  }

  flush(): void {
    this.#dirty = false
    this.connection.shed()
    this.#send()
    // A socket that took all of it at once calls nobody back: what it leaves room for goes out with the next turn.
    if (this.socket.writableLength === 0) this.connection.onSocketTook()
  }

  /** Never wakes a stream: it is also called from within a send. */
  #send(): void {
    const { socket, connection } = this
    const { output } = connection
    if (output.size === 0 || socket.destroyed) return
    // A busy socket is left to finish: what gathers meanwhile goes out in one write, and counts as backlog of the peer.
    if (socket.writableLength > 0 && !connection.dead) return this.#watch()
    const gathered = output.take()
    if (this.#encrypted) return this.#sendEncrypted(gathered)
    if (gathered.length > 1) socket.cork()
    for (const { bytes } of gathered) socket.write(bytes)
    if (gathered.length > 1) socket.uncork()
    connection.socketBacklog = socket.writableLength
    for (const { slab } of gathered) this.#lent.push(slab)
    if (connection.socketBacklog === 0) this.#takeBack()
    else this.#watch()
  }

  /** An empty write behind the pending one tells when the socket has taken everything; a callback on every write would cost each of them a tick. */
  #watch(): void {
    if (this.#watching) return
    this.#watching = true
    this.socket.write(NOTHING, this.#onTaken)
  }

  /** A TLS socket always takes its time, and encrypts an empty write as any other: here the last write itself tells. */
  #sendEncrypted(gathered: readonly Gathered[]): void {
    const { socket } = this
    const last = gathered.length - 1
    if (last > 0) socket.cork()
    this.#watching = true
    for (let i = 0; i <= last; i++) {
      const { slab, bytes } = gathered[i] as Gathered
      this.#lent.push(slab)
      if (i < last) socket.write(bytes)
      else socket.write(bytes, this.#onTaken)
    }
    if (last > 0) socket.uncork()
    this.connection.socketBacklog = socket.writableLength
  }

  readonly #onTaken = (): void => {
    this.#watching = false
    this.#unread = 0
    this.connection.socketBacklog = this.socket.writableLength
    if (this.connection.socketBacklog === 0) this.#takeBack()
    this.connection.onSocketTook()
    this.flush()
  }

  #takeBack(): void {
    for (const slab of this.#lent) this.#shared.slabs.give(slab)
    this.#lent.length = 0
  }

  /** Lets the output leave, then closes. */
  close(): void {
    this.flush()
    this.socket.destroySoon()
  }

  onRequest(stream: Stream, fields: HeaderField[], endStream: boolean): void {
    this.#owner.onRequest(stream, fields, endStream)
  }

  onBadRequest(stream: Stream, problem: 'too-large' | 'malformed'): void {
    this.#owner.onBadRequest(stream, problem)
  }

  onOutput(): void {
    if (this.#dirty) return
    this.#dirty = true
    this.#flusher.add(this)
  }

  onOutputFull(): void {
    if (this.socket.writableLength === 0) this.#send()
  }

  onCapacity(): void {
    this.#owner.onCapacity(this)
  }

  onFatal(_connection: Connection, code: number, reason: string): void {
    this.#detail = reason
    // One that floods and does not read would hold what it was sent until it pleases to.
    if (code === ERROR.ENHANCE_YOUR_CALM && this.socket.writableLength > 0) this.socket.destroy()
    else this.close()
  }
}
