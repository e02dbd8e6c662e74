/**
 * One connection to an endpoint, from its dialling to its end: it tells its pool when the server has greeted it, when it takes no more streams and
 * when it is gone, and lives by the rules of age, idleness and keepalive. Invariant: streams that run on it are cut only when its server is gone.
 */
import type { LookupFunction } from 'node:net'
import type { Millis } from '../../core/units.ts'
import type { Connection } from '../http2/connection.ts'
import type { Shared } from '../http2/shared.ts'
import type { LossCause } from '../http2/stream.ts'
import { ConnectionLife, type LifeRules } from '../routing/connection-life.ts'
import { dial } from './dial.ts'
import { type Flusher, type LinkOwner, SocketLink } from './socket-link.ts'
import type { TlsTerms } from './tls-upstream.ts'

export type UpstreamPlan = {
  readonly address: string
  readonly lookup: LookupFunction | undefined
  readonly tls: TlsTerms | undefined
  /** The one of a name's addresses that it is meant for. */
  readonly ip: string | undefined
  readonly flusher: Flusher
  readonly shared: Shared
  readonly rules: LifeRules
  readonly now: Millis
  readonly draw: number
}

export type UpstreamLinkOwner = {
  /** Its server's SETTINGS have come. */
  onGreeted(link: UpstreamLink): void
  /** It grows old: its successor should be there before it goes. */
  onAging(link: UpstreamLink): void
  /** Nothing more is opened on it. */
  onLeaving(link: UpstreamLink): void
  onClosed(link: UpstreamLink, cause: LossCause, detail: string): void
}

export class UpstreamLink implements LinkOwner {
  readonly connection: Connection
  /** The address that it is meant for, then the one that it has; absent for an endpoint without a name. */
  ip: string | undefined
  readonly wantedIp: string | undefined
  readonly #link: SocketLink
  readonly #life: ConnectionLife
  readonly #owner: UpstreamLinkOwner
  #greeted = false
  #leaving = false

  constructor(plan: UpstreamPlan, owner: UpstreamLinkOwner) {
    const { address, lookup, tls, ip } = plan
    this.#owner = owner
    this.ip = ip
    this.wantedIp = ip
    this.#life = new ConnectionLife(plan.rules, plan.now, plan.draw)
    const socket = dial({
      address,
      lookup,
      tls,
      onBytes: (bytes, length) => {
        this.connection.receive(bytes, length)
        return true
      },
      onUp: () => {
        this.#link.up()
        if (lookup !== undefined) this.ip = socket.remoteAddress ?? ip
      },
    })
    this.#link = new SocketLink(socket, 'client', this, plan.flusher, plan.shared)
    this.connection = this.#link.connection
  }

  get usable(): boolean {
    return !this.connection.retiring && !this.connection.dead
  }

  /** Every second or so. `calm` stretches the time between pings. */
  tick(now: Millis, calm: number): void {
    this.#link.everySecond()
    const { connection } = this
    if (connection.dead) return
    const { settled, reads, talk, streams } = connection
    const step = this.#life.step({ settled, reads, talk, streams: streams.size }, now, calm)
    switch (step) {
      case 'none':
        return
      case 'ping':
        return connection.ping()
      case 'lost':
        this.#link.socket.destroy(new Error(settled ? 'the server does not answer' : 'the server sent no SETTINGS'))
        return
      case 'retire':
        return this.#owner.onAging(this)
      case 'finish':
      case 'close':
        return this.retire()
      default:
        return step satisfies never
    }
  }

  /** What runs finishes, and then it closes. */
  retire(): void {
    this.connection.retiring = true
    this.onCapacity()
  }

  onRequest(): void {}
  onBadRequest(): void {}

  onCapacity(): void {
    const { connection } = this
    if (!this.#greeted && connection.settled) {
      this.#greeted = true
      this.#owner.onGreeted(this)
    }
    if (!connection.retiring) return
    if (!this.#leaving) {
      this.#leaving = true
      this.#owner.onLeaving(this)
    }
    if (connection.streams.size === 0) this.#link.close()
  }

  onClosed(_link: SocketLink, cause: LossCause, detail: string): void {
    this.#owner.onClosed(this, cause, detail)
  }
}
