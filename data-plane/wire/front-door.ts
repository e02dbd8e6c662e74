/**
 * A worker's front door: the first bytes of a socket decide what it speaks. A PROXY header where one is due, then TLS, HTTP/2 by prior knowledge
 * or HTTP/1.1; nothing is said before the client has. Invariants: a socket that has not said what it speaks within `prefaceTimeout` is closed and
 * counted; a recognised HTTP/2 connection costs one look at a field per read, and its bytes are never copied.
 */
import type { Socket } from 'node:net'
import { limits } from '../../core/limits.ts'
import { recognise } from './first-bytes.ts'
import { type FrontTally, newFrontTally, type Rejection } from './front-tally.ts'
import type { Http1Door } from './http1-door.ts'
import { ProxyRanges, readProxyHeader } from './proxy-protocol.ts'
import { KEEP_ALIVE_MS, type OnBytes, readInto } from './read-buffer.ts'
import type { SocketLink } from './socket-link.ts'
import { ALPN_HTTP1, ALPN_HTTP2, type ListenerMaterial } from './tls-context.ts'
import { type HandshakeEnd, Handshakes } from './tls-handshakes.ts'

export type FrontPorts = {
  /** An HTTP/2 connection begins on the socket. */
  greet(socket: Socket): SocketLink
  readonly http1: Http1Door
  /** A client was turned away; its address as far as it is known. */
  turnedAway(about: { readonly client: string; readonly reason: Rejection; readonly detail: string }): void
}

/** What the settings say of the door. */
export type FrontOptions = {
  /** Peers that put a PROXY header in front, as CIDR ranges. */
  readonly proxyProtocolFrom: readonly string[]
  /** Without it TLS is not spoken. */
  readonly tls?: ListenerMaterial
}

export class FrontDoor {
  readonly #ports: FrontPorts
  #proxies: ProxyRanges | undefined
  readonly handshakes = new Handshakes()
  tally: FrontTally = newFrontTally()

  constructor(ports: FrontPorts) {
    this.#ports = ports
  }

  /** For sockets that come from now on. */
  apply(options: FrontOptions): void {
    this.handshakes.use(options.tls)
    this.#proxies = options.proxyProtocolFrom.length === 0 ? undefined : new ProxyRanges(options.proxyProtocolFrom)
  }

  /** A client's socket, paused until now. Answers the socket to listen to. */
  take(given: Socket): Socket {
    const proxied = this.#proxies?.has(given.remoteAddress ?? '') ?? false
    const newcomer = new Newcomer(this, this.#ports, proxied)
    const onBytes = (bytes: Buffer, length: number): boolean => {
      if (newcomer.link === undefined) newcomer.take(bytes, length)
      else newcomer.link.take(bytes, length)
      return newcomer.link === undefined || !newcomer.link.behind
    }
    const socket = readInto(given, onBytes)
    newcomer.begin(socket, onBytes)
    return socket
  }
}

const NOTHING: Buffer = Buffer.alloc(0)
const IN_CLEAR = 'clear'

/** One socket until it is known what it speaks. */
class Newcomer {
  /** Set once it is HTTP/2. */
  link: SocketLink | undefined
  readonly #door: FrontDoor
  readonly #ports: FrontPorts
  #socket: Socket | undefined
  #onBytes: OnBytes = () => true
  #proxyHeaderDue: boolean
  #client = ''
  /** What came and did not suffice. */
  #kept = NOTHING
  #state: 'unknown' | 'http1' | 'gone' = 'unknown'
  /** Under TLS: what was agreed by ALPN, or an empty text. */
  #layer = IN_CLEAR
  #late: NodeJS.Timeout | undefined

  constructor(door: FrontDoor, ports: FrontPorts, proxyHeaderDue: boolean) {
    this.#door = door
    this.#ports = ports
    this.#proxyHeaderDue = proxyHeaderDue
  }

  begin(socket: Socket, onBytes: OnBytes): void {
    this.#socket = socket
    this.#onBytes = onBytes
    socket.setKeepAlive(true, KEEP_ALIVE_MS)
    this.#setDeadline()
    socket.once('close', () => clearTimeout(this.#late))
    socket.on('error', () => {}) // 'close' follows, and is what counts
  }

  #setDeadline(): void {
    const detail = `nothing to tell its protocol by came within ${limits.prefaceTimeout} ms`
    this.#late = setTimeout(() => this.#turnAway('silent', detail), limits.prefaceTimeout)
  }

  take(bytes: Buffer, length: number): void {
    if (this.#state === 'gone') return
    if (this.#state === 'http1') return this.#passOn(bytes, length)
    if (this.#kept.length === 0) return this.#look(bytes, length)
    const all = Buffer.concat([this.#kept, bytes.subarray(0, length)])
    this.#kept = NOTHING
    this.#look(all, all.length)
  }

  /** Node's HTTP server takes reads off the handle by itself; what it leaves to the socket is a copy, for the buffer is everyone's. */
  #passOn(bytes: Buffer, length: number): void {
    if (this.#socket?.push(Buffer.from(bytes.subarray(0, length))) === false) this.#socket.pause()
  }

  #look(bytes: Buffer, length: number): void {
    const spoken = recognise(bytes, length)
    switch (spoken) {
      case 'more':
        return this.#keep(bytes, length)
      case 'proxy':
        return this.#takeProxyHeader(bytes, length)
      case 'unknown':
        return this.#turnAway('unknown-protocol', 'its first bytes are none of TLS, HTTP/2 and HTTP/1')
      default:
        if (this.#proxyHeaderDue) return this.#turnAway('proxy-header-missing', 'a PROXY header is due from this address')
        return this.#enter(spoken, bytes, length)
    }
  }

  #enter(spoken: 'http2' | 'http1' | 'tls', bytes: Buffer, length: number): void {
    const socket = this.#socket as Socket
    const { handshakes } = this.#door
    if (this.#layer === IN_CLEAR && spoken !== 'tls' && handshakes.only)
      return this.#turnAway('clear-text', 'this port takes nothing but TLS')
    if (spoken !== 'tls' ? !fits(this.#layer, spoken) : this.#layer !== IN_CLEAR)
      return this.#turnAway('unknown-protocol', 'under TLS it speaks something else than was agreed')
    clearTimeout(this.#late)
    if (spoken === 'tls') return this.#shakeHands(socket, bytes, length)
    if (spoken === 'http1') return this.#enterHttp1(socket, bytes, length)
    this.#door.tally.arrived.http2++
    this.link = this.#ports.greet(socket)
    this.link.take(bytes, length)
  }

  #shakeHands(raw: Socket, bytes: Buffer, length: number): void {
    const { handshakes } = this.#door
    if (!handshakes.on) return this.#turnAway('tls-off', 'TLS is not set up on this port')
    this.#door.tally.arrived.tls++
    raw.pause()
    raw.unshift(Buffer.from(bytes.subarray(0, length)))
    if (!handshakes.begin(raw, this.#onBytes, (end) => this.#onHandshake(end)))
      this.#turnAway('handshakes-full', `${handshakes.open} handshakes are in progress`)
  }

  #onHandshake(end: HandshakeEnd): void {
    if (!end.ok) return this.#turnAway(end.reason, end.detail)
    this.#socket = end.socket
    this.#layer = end.alpn
    this.#setDeadline()
  }

  #enterHttp1(socket: Socket, bytes: Buffer, length: number): void {
    this.#state = 'http1'
    socket.pause()
    socket.removeAllListeners('data')
    socket.unshift(Buffer.from(bytes.subarray(0, length)))
    if (!this.#ports.http1.take(socket)) return this.#turnAway('http1-full', 'too many HTTP/1.1 connections are open')
    this.#door.tally.arrived.http1++
    socket.resume()
  }

  #takeProxyHeader(bytes: Buffer, length: number): void {
    if (!this.#proxyHeaderDue) return this.#turnAway('proxy-header-unwanted', 'no PROXY header is taken from this address')
    const header = readProxyHeader(bytes, length)
    if (header === 'more') return this.#keep(bytes, length)
    if (header === 'malformed') return this.#turnAway('proxy-header-malformed', 'its PROXY header cannot be read')
    this.#proxyHeaderDue = false
    this.#client = header.client ?? ''
    this.#door.tally.arrived.proxied++
    if (length > header.length) this.#look(bytes.subarray(header.length), length - header.length)
  }

  #keep(bytes: Buffer, length: number): void {
    this.#kept = Buffer.from(bytes.subarray(0, length))
  }

  #turnAway(reason: Rejection, detail: string): void {
    const socket = this.#socket as Socket
    this.#state = 'gone'
    this.#kept = NOTHING
    this.#door.tally.rejected[reason]++
    this.#ports.turnedAway({ client: this.#client === '' ? addressOf(socket) : this.#client, reason, detail })
    socket.destroy()
  }
}

/** What is spoken is what was agreed; in clear, and where nothing was agreed, it is the client's choice. */
const fits = (layer: string, spoken: 'http2' | 'http1'): boolean =>
  layer === ALPN_HTTP2 ? spoken === 'http2' : layer === ALPN_HTTP1 ? spoken === 'http1' : true

const addressOf = (socket: Socket): string => `${socket.remoteAddress ?? 'gone'}:${socket.remotePort ?? 0}`
