/**
 * The NATS connection of one process: dials for ever, says when it is up or down, and keeps nothing while it is down or slow. Invariant: whoever is told
 * that the link is up has all subscriptions in place again. After a break it waits a random while before it dials, longer with each attempt, so that a
 * server that comes back meets its fleet one by one.
 */
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises'
import { DebugEvents, ErrorCode, Events, type NatsConnection, type NatsError } from 'nats'
import { limits } from '../limits.ts'
import { redialWait } from '../spread.ts'
import type { Millis } from '../units.ts'
import type { Logger } from './log.ts'
import { DialFailure, dialNats, type NatsAccess, type NatsSelf } from './nats-dial.ts'
import { UsageError } from './settings.ts'
import { watchStalls } from './stalls.ts'
import { UnconfirmedBytes } from './unconfirmed-bytes.ts'

export type NatsLinkState = 'up' | 'down'

/** `fell-behind`: the server ended it after this process had stood still, as it does with consumers that do not read. */
export const NATS_LOSSES = ['server-silent', 'fell-behind', 'closed', 'broken'] as const
export type NatsLoss = (typeof NATS_LOSSES)[number]

export type Handed = 'handed-over' | 'link-down' | 'link-slow'

/** Why a request has no answer. */
export class NoAnswer extends Error {
  readonly why: 'nobody-listens' | 'deadline' | 'link-down'

  constructor(why: NoAnswer['why']) {
    super(why)
    this.why = why
  }
}

export type OnMessage = (message: Uint8Array, subject: string, answer: (message: Uint8Array) => void) => void

export type NatsLink = {
  /** The one of the moment: after a break there is another. */
  readonly connection: NatsConnection
  readonly losses: Readonly<Record<NatsLoss, number>>
  /** Messages that the server did not let through: permissions are wrong. */
  readonly denied: { readonly count: number }
  state(): NatsLinkState
  /** What is wrong, while it is down. */
  detail(): string
  /** A message that is not handed over is gone, never queued. */
  publish(subject: string, message: Uint8Array): Handed
  /** Rejects with a NoAnswer. */
  request(subject: string, message: Uint8Array, deadline: Millis): Promise<Uint8Array>
  /** Resolves when the server knows of the subscription; rejects with a UsageError when it does not allow it. */
  subscribe(subject: string, onMessage: OnMessage): Promise<void>
  onState(listener: (state: NatsLinkState) => void): void
  close(): Promise<void>
}

export type NatsLinkOptions = {
  readonly access: NatsAccess
  readonly self: NatsSelf
  readonly log: Logger
  readonly waitMax: Millis
  /** Over how long all those who lost the same server come back. */
  readonly spread: () => Millis
}

/** Waits for the first connection. A refusal by the server is thrown then, as a UsageError; later it is waited out and said. */
export async function connectNats(options: NatsLinkOptions): Promise<NatsLink> {
  const link = new Link(options)
  await link.open()
  return link
}

type Subscription = { readonly subject: string; readonly onMessage: OnMessage; denied: boolean }

const DENIALS_PER_LINE = 1_000

class Link implements NatsLink {
  readonly losses: Record<NatsLoss, number> = { 'server-silent': 0, 'fell-behind': 0, closed: 0, broken: 0 }
  readonly denied = { count: 0 }
  readonly #options: NatsLinkOptions
  readonly #subscriptions: Subscription[] = []
  readonly #listeners: ((state: NatsLinkState) => void)[] = []
  readonly #closing = new AbortController()
  readonly #stalls = watchStalls()
  #connection: NatsConnection | undefined
  #unconfirmed = new UnconfirmedBytes(async () => {})
  #state: NatsLinkState = 'down'
  #complaint = { detail: '', at: Number.NEGATIVE_INFINITY }

  constructor(options: NatsLinkOptions) {
    this.#options = options
  }

  get connection(): NatsConnection {
    if (this.#connection === undefined) throw new Error('the first connection comes with open()')
    return this.#connection
  }

  state(): NatsLinkState {
    return this.#state
  }

  detail(): string {
    return this.#complaint.detail
  }

  publish(subject: string, message: Uint8Array): Handed {
    if (this.#state === 'down' || this.connection.isClosed()) return 'link-down'
    if (this.#unconfirmed.tooMany) return 'link-slow'
    this.connection.publish(subject, message)
    this.#unconfirmed.handedOver(message.length)
    return 'handed-over'
  }

  async request(subject: string, message: Uint8Array, deadline: Millis): Promise<Uint8Array> {
    if (this.#state === 'down' || this.connection.isClosed()) throw new NoAnswer('link-down')
    try {
      return (await this.connection.request(subject, message, { timeout: deadline })).data
    } catch (error) {
      const { code } = error as NatsError
      throw new NoAnswer(code === ErrorCode.NoResponders ? 'nobody-listens' : code === ErrorCode.Timeout ? 'deadline' : 'link-down')
    }
  }

  async subscribe(subject: string, onMessage: OnMessage): Promise<void> {
    const subscription: Subscription = { subject, onMessage, denied: false }
    this.#subscriptions.push(subscription)
    // Without a connection, and when it breaks here, the next one brings the subscription.
    if (this.connection.isClosed()) return
    this.#attach(this.connection, subscription)
    await this.connection.flush().catch(() => {})
    if (!subscription.denied) return
    const { credsFile, servers } = this.#options.access
    throw new UsageError(
      `NATS at ${servers.join(', ')} does not let this part listen on ${subject}: ${credsFile ?? 'whoever comes without a key'} may not; take the key that millrace admin nats-config wrote for this very part and mesh`,
    )
  }

  onState(listener: (state: NatsLinkState) => void): void {
    this.#listeners.push(listener)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#stalls.close()
    await this.#connection?.close()
  }

  async open(): Promise<void> {
    const connection = await this.#dialUntilUp((failure) => {
      if (failure.kind === 'refused') throw new UsageError(failure.message)
    })
    if (connection !== undefined) void this.#live(connection)
  }

  /** Undefined when the link was closed meanwhile. */
  async #dialUntilUp(onFailure: (failure: DialFailure) => void): Promise<NatsConnection | undefined> {
    for (let attempt = 1; !this.#closing.signal.aborted; attempt++) {
      const dialled = await this.#dialAny()
      if (!(dialled instanceof DialFailure)) {
        if (!this.#closing.signal.aborted) return dialled
        await dialled.close()
        return undefined
      }
      onFailure(dialled)
      this.#complain(dialled)
      await this.#waitFor(attempt)
    }
    return undefined
  }

  /** One attempt at each server, in random order. A refusal says more than silence. */
  async #dialAny(): Promise<NatsConnection | DialFailure> {
    const { access, self } = this.#options
    let failure = new DialFailure('away', 'no server is named')
    for (const { server } of access.servers.map((server) => ({ server, at: Math.random() })).sort((a, b) => a.at - b.at))
      try {
        return await dialNats(server, access, self)
      } catch (error) {
        if (!(error instanceof DialFailure)) throw error
        if (error.kind === 'refused' || failure.kind === 'away') failure = error
      }
    return failure
  }

  async #waitFor(attempt: number): Promise<void> {
    const { spread, waitMax } = this.#options
    await wait(redialWait(attempt, Math.random(), spread(), waitMax), undefined, { signal: this.#closing.signal }).catch(() => {})
  }

  /** From one connection to the next. */
  async #live(first: NatsConnection): Promise<void> {
    for (let connection: NatsConnection | undefined = first; connection !== undefined; ) {
      const ended = this.#hold(connection)
      for (const subscription of this.#subscriptions) this.#attach(connection, subscription)
      if (this.#subscriptions.length > 0) await connection.flush().catch(() => {})
      if (!connection.isClosed()) this.#become('up')
      const loss = await ended
      if (this.#closing.signal.aborted) return
      this.losses[loss]++
      this.#options.log.warn({ loss }, 'nats.lost')
      this.#become('down')
      await this.#waitFor(1)
      connection = await this.#dialUntilUp(() => {})
    }
  }

  /** Takes a fresh connection into use; resolves with what ended it. */
  async #hold(connection: NatsConnection): Promise<NatsLoss> {
    this.#connection = connection
    this.#unconfirmed = new UnconfirmedBytes(() => connection.flush())
    let silent = false
    void (async () => {
      for await (const { type, data, permissionContext } of connection.status())
        if (type === DebugEvents.StaleConnection) silent = true
        else if (type === Events.Error) this.#deny(String(data), permissionContext)
    })()
    const error = await connection.closed()
    // What the client says of itself comes by way of queues, which are empty a turn later.
    await nextTurn()
    if (silent) return 'server-silent'
    if (this.#stalls.longest() >= limits.busStallMin) return 'fell-behind'
    return error === undefined ? 'closed' : 'broken'
  }

  #attach(connection: NatsConnection, subscription: Subscription): void {
    connection.subscribe(subscription.subject, {
      callback: (error, message) => {
        if (error !== null) subscription.denied = true
        else
          subscription.onMessage(message.data, message.subject, (answer) => {
            if (!connection.isClosed()) message.respond(answer)
          })
      },
    })
  }

  #become(next: NatsLinkState): void {
    if (next === this.#state) return
    this.#state = next
    if (next === 'up') this.#complaint = { detail: '', at: Number.NEGATIVE_INFINITY }
    this.#options.log.info({ state: next }, 'nats.link')
    for (const listener of this.#listeners) listener(next)
  }

  #complain({ kind, message: detail }: DialFailure): void {
    const now = performance.now()
    if (detail === this.#complaint.detail && now - this.#complaint.at < limits.busComplaintPeriod) return
    this.#complaint = { detail, at: now }
    this.#options.log.warn({ detail }, kind === 'refused' ? 'nats.refused' : 'nats.waiting')
  }

  #deny(error: string, about: { readonly operation: string; readonly subject: string } | undefined): void {
    if (this.denied.count++ % DENIALS_PER_LINE > 0) return
    this.#options.log.warn({ error, operation: about?.operation, subject: about?.subject, times: this.denied.count }, 'nats.denied')
  }
}
