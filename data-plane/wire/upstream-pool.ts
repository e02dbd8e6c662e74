/**
 * The connections of one worker to one endpoint. One that fills up has the next opened ahead of need, up to a cap; a new one carries traffic once its
 * SETTINGS have come, as long as another can take the stream. Each address of a name has a connection, and those that it lost finish their streams.
 * A refused or broken connection ejects the endpoint at once; a fresh one that its server greets brings it back.
 */
import { limits } from '../../core/limits.ts'
import type { EndpointState, EndpointTls } from '../../core/mesh-snapshot.ts'
import type { Millis } from '../../core/units.ts'
import type { Connection } from '../http2/connection.ts'
import { ERROR } from '../http2/protocol.ts'
import type { Shared } from '../http2/shared.ts'
import type { LossCause } from '../http2/stream.ts'
import type { LifeRules } from '../routing/connection-life.ts'
import type { EndpointSlot } from '../routing/endpoint-slot.ts'
import { type Names, type NameWatch, nameIn } from './resolve.ts'
import type { Flusher } from './socket-link.ts'
import type { TlsContexts, TlsTerms } from './tls-upstream.ts'
import { UpstreamLink, type UpstreamLinkOwner } from './upstream-link.ts'

export type PoolPorts = {
  readonly flusher: Flusher
  readonly shared: Shared
  readonly contexts: TlsContexts
  /** Of endpoints that say nothing of TLS themselves. */
  usualTls(): EndpointTls | undefined
  readonly names: Names
  readonly rules: LifeRules
  now(): Millis
  /** A number in [0, 1). */
  draw(): number
  /** This worker's view of the endpoint changed. */
  onEjection(slot: EndpointSlot, detail: string): void
}

const FIRST_CHECK_MS = 50
/** Of the streams that a server allows on one connection; above it the next connection is opened. */
const SOFT_SHARE = 0.75
const CALM_MAX = 64

export class UpstreamPool implements UpstreamLinkOwner {
  readonly slot: EndpointSlot
  readonly #ports: PoolPorts
  readonly #links: UpstreamLink[] = []
  #address: string
  #tls: string
  #state: EndpointState
  #name: NameWatch | undefined
  /** It takes streams while it has fewer than `soft`: none, when a name has several addresses and every stream looks for the best. */
  #current: Connection | undefined
  #soft = 0
  #turn = 0
  /** What a new connection may carry before its own SETTINGS come. */
  #streamsAssumed: number = limits.upstreamStreamsAssumed
  /** Stretches keepalive after a server complained of pings. */
  #calm = 1
  /** Addresses that did not answer, and when. */
  readonly #missed = new Map<string, Millis>()
  #check: NodeJS.Timeout | undefined
  #strikes = 0
  #closed = false
  #onWarm: (() => void) | undefined

  constructor(slot: EndpointSlot, ports: PoolPorts) {
    this.slot = slot
    this.#ports = ports
    this.#address = slot.endpoint.address
    this.#tls = JSON.stringify(slot.endpoint.tls ?? null)
    this.#state = slot.endpoint.state
  }

  get connections(): number {
    return this.#links.length
  }

  /** A connection with room, opened if need be; undefined when the cap is reached and all are full. */
  open(): Connection | undefined {
    const current = this.#current
    if (current !== undefined && current.streams.size < this.#soft && current.canOpen) return current
    return this.#openBest()
  }

  /** Opens a connection ahead of need, where there is none; `done` is called once it is of use, or has failed. */
  warm(done: () => void): void {
    if (this.#closed || this.#links.length > 0) return done()
    this.#onWarm = done
    this.#dial()
  }

  /** The snapshot says something new of the endpoint. When it moved, what runs on the old connections finishes there. */
  refresh(): void {
    const { state, address } = this.slot.endpoint
    const tls = JSON.stringify(this.slot.endpoint.tls ?? null)
    const changed = state !== this.#state
    this.#state = state
    // News from its host is a better moment to look than the next turn of a growing delay.
    if (changed && this.slot.ejected) this.#checkIn(0)
    if (address === this.#address && tls === this.#tls) return
    this.#address = address
    this.#tls = tls
    this.#strikes = 0
    this.#streamsAssumed = limits.upstreamStreamsAssumed
    this.#retireAll()
    this.#restore()
  }

  /** Finishes what runs and opens nothing more. */
  close(): void {
    this.#closed = true
    clearTimeout(this.#check)
    this.#retireAll()
  }

  /** Every second or so. */
  tick(now: Millis): void {
    if (this.#links.length === 0) return
    for (const link of [...this.#links]) link.tick(now, this.#calm)
    this.#coverAddresses()
  }

  #retireAll(): void {
    this.#current = undefined
    this.#name?.close()
    this.#name = undefined
    for (const link of [...this.#links]) link.retire()
  }

  // ——— choosing ———

  #openBest(): Connection | undefined {
    const best = this.#best()
    if (best === undefined) return this.#hasRoom() ? this.#dial().connection : undefined
    const soft = Math.ceil(best.peerStreamsMax * SOFT_SHARE)
    if (best.settled) {
      this.#current = best
      this.#soft = this.#spreads ? 0 : soft
    }
    // One at a time: what its SETTINGS say decides about the next.
    if (best.streams.size >= soft && this.#hasRoom() && this.#links.every(({ connection }) => connection.settled)) this.#dial()
    return best
  }

  /** Whom its server has greeted comes first, then who has fewest streams; over the addresses of a name equals take turns. */
  #best(): Connection | undefined {
    const { length } = this.#links
    const from = this.#spreads ? this.#turn++ : 0
    let best: Connection | undefined
    for (let i = 0; i < length; i++) {
      const { connection } = this.#links[(from + i) % length] as UpstreamLink
      if (connection.canOpen && (best === undefined || isBetter(connection, best))) best = connection
    }
    return best
  }

  get #spreads(): boolean {
    return this.#name !== undefined && this.#name.addresses.length > 1
  }

  #hasRoom(): boolean {
    return this.#usable() < limits.upstreamConnectionsMax
  }

  #usable(): number {
    let count = 0
    for (const link of this.#links) if (link.usable) count++
    return count
  }

  // ——— opening ———

  #dial(ip?: string): UpstreamLink {
    const host = nameIn(this.#address)
    if (host !== undefined) this.#name ??= this.#ports.names.watch(host, () => this.#coverAddresses())
    const { flusher, shared, rules } = this.#ports
    const lookup = this.#name?.lookup(ip)
    const life = { rules, now: this.#ports.now(), draw: this.#ports.draw() }
    const link = new UpstreamLink({ address: this.#address, lookup, tls: this.#terms(), ip, flusher, shared, ...life }, this)
    link.connection.assumeStreams(this.#streamsAssumed)
    this.#links.push(link)
    return link
  }

  #terms(): TlsTerms | undefined {
    const { slot } = this
    const tls = slot.endpoint.tls ?? this.#ports.usualTls()
    const onTrouble = (words: string): void => {
      slot.trouble = words
    }
    return tls === undefined ? undefined : { tls, contexts: this.#ports.contexts, onTrouble }
  }

  /** A connection to each address of the name, and none to those that it lost. */
  #coverAddresses(): void {
    const addresses = this.#name?.addresses ?? []
    if (this.#closed || addresses.length === 0) return
    for (const ip of this.#missed.keys()) if (!addresses.includes(ip)) this.#missed.delete(ip)
    for (const link of [...this.#links]) if (link.usable && link.ip !== undefined && !addresses.includes(link.ip)) link.retire()
    if (addresses.length === 1) return
    this.#soft = 0
    // One that is on its way to whichever address answers will tell which it was.
    if (this.#links.some((link) => link.usable && link.ip === undefined)) return
    for (const ip of addresses) {
      const missedAt = this.#missed.get(ip)
      if (missedAt !== undefined && this.#ports.now() - missedAt < limits.addressAgain) continue
      if (this.#hasRoom() && !this.#links.some((link) => link.usable && link.ip === ip)) this.#dial(ip)
    }
  }

  // ——— what happens to a connection ———

  onGreeted(link: UpstreamLink): void {
    this.#streamsAssumed = Math.min(limits.upstreamStreamsAssumed, link.connection.peerStreamsMax)
    if (link.wantedIp !== undefined && link.wantedIp !== link.ip) this.#missed.set(link.wantedIp, this.#ports.now())
    this.#strikes = 0
    this.slot.trouble = ''
    this.#tellWarm()
    this.#restore()
    this.#coverAddresses()
  }

  onAging(link: UpstreamLink): void {
    if (link.usable && this.#usable() === 1) this.#dial(link.ip)
  }

  onLeaving({ connection }: UpstreamLink): void {
    if (this.#current === connection) this.#current = undefined
    if (connection.goawayCode === ERROR.ENHANCE_YOUR_CALM) this.#calm = Math.min(2 * this.#calm, CALM_MAX)
    // A busy endpoint has its next connection ready, or is known to be gone, before the next stream asks.
    if (!this.#closed && connection.goawayCode !== undefined && connection.streams.size > 0 && this.#usable() === 0) this.#dial()
  }

  onClosed(link: UpstreamLink, cause: LossCause, detail: string): void {
    const { connection } = link
    this.#links.splice(this.#links.indexOf(link), 1)
    if (this.#current === connection) this.#current = undefined
    this.#tellWarm()
    if (this.#closed) return
    this.#name?.refresh()
    if (cause === 'unreachable' && link.ip !== undefined) this.#missed.set(link.ip, this.#ports.now())
    // A connection that its server closed in good order is no evidence against the server, and neither is one address of several.
    if (connection.retiring && cause !== 'unreachable') return
    if (link.ip !== undefined && this.#links.some((other) => other.usable && other.connection.settled && other.ip !== link.ip)) return
    this.#eject(detail === '' ? 'the server closed the connection' : detail)
  }

  #eject(detail: string): void {
    if (this.slot.ejected) return this.#checkLater()
    this.slot.ejected = true
    this.#ports.onEjection(this.slot, detail)
    this.#checkIn(FIRST_CHECK_MS)
  }

  /** Each look that fails doubles the wait for the next. */
  #checkLater(): void {
    if (this.#check !== undefined) return
    const delay = Math.min(limits.ejectionFirst * 2 ** this.#strikes++, limits.ejectionMax)
    this.#checkIn(delay * (0.8 + 0.4 * this.#ports.draw()))
  }

  #checkIn(delayMs: number): void {
    clearTimeout(this.#check)
    this.#check = setTimeout(() => {
      this.#check = undefined
      if (this.#closed || !this.slot.ejected) return
      // One that is on its way will tell.
      if (!this.#links.some((link) => link.usable && !link.connection.settled)) this.#dial()
    }, delayMs)
  }

  #restore(): void {
    if (this.#closed || !this.slot.ejected) return
    clearTimeout(this.#check)
    this.#check = undefined
    this.slot.ejected = false
    this.#ports.onEjection(this.slot, '')
  }

  #tellWarm(): void {
    this.#onWarm?.()
    this.#onWarm = undefined
  }
}

const isBetter = (a: Connection, b: Connection): boolean => (a.settled === b.settled ? a.streams.size < b.streams.size : a.settled)
