/** The NATS connection of one process: dials for ever, says when it is up or down, and keeps nothing while it is down. */
import { connect, Events, type NatsConnection } from 'nats'
import type { Logger } from './log.ts'
import { UsageError } from './settings.ts'

export type NatsLinkState = 'up' | 'down'

export type NatsLink = {
  readonly connection: NatsConnection
  state(): NatsLinkState
  /** False when the link is down: the message is dropped, never queued. */
  publish(subject: string, message: Uint8Array): boolean
  /** Resolves when the server knows of the subscription. */
  subscribe(subject: string, onMessage: (message: Uint8Array, subject: string) => void): Promise<void>
  onState(listener: (state: NatsLinkState) => void): void
  close(): Promise<void>
}

export type NatsLinkOptions = {
  readonly servers: readonly string[]
  readonly name: string
  readonly log: Logger
  /** Called about once a second while the first connection is not there yet, so that a person sees what is missing. */
  readonly onWaiting?: (detail: string) => void
}

const RECONNECT_WAIT_MS = 250

/** Waits for the first connection; what is wrong with the name or the credentials is thrown at once, an unreachable server is waited for. */
export async function connectNats(options: NatsLinkOptions): Promise<NatsLink> {
  const { log } = options
  const waiting = setInterval(
    () => options.onWaiting?.(`NATS at ${options.servers.join(', ')} does not answer; is nats-server running there?`),
    1_000,
  )
  let connection: NatsConnection
  try {
    connection = await connect({
      servers: [...options.servers],
      name: options.name,
      reconnect: true,
      maxReconnectAttempts: -1,
      waitOnFirstConnect: true,
      reconnectTimeWait: RECONNECT_WAIT_MS,
      reconnectJitter: RECONNECT_WAIT_MS,
      pingInterval: 2_000,
      maxPingOut: 2,
    })
  } catch (error) {
    throw new UsageError(`NATS at ${options.servers.join(', ')}: ${(error as Error).message}`)
  } finally {
    clearInterval(waiting)
  }
  let state: NatsLinkState = 'up'
  const listeners: ((state: NatsLinkState) => void)[] = []
  const become = (next: NatsLinkState): void => {
    if (next === state) return
    state = next
    log.info({ state: next }, 'nats.link')
    for (const listener of listeners) listener(next)
  }
  void (async () => {
    for await (const status of connection.status()) {
      if (status.type === Events.Disconnect) become('down')
      else if (status.type === Events.Reconnect) become('up')
      else if (status.type === Events.Error) log.warn({ data: status.data }, 'nats.error')
    }
  })()
  return {
    connection,
    state: () => state,
    publish(subject, message) {
      if (state === 'down' || connection.isClosed()) return false
      connection.publish(subject, message)
      return true
    },
    async subscribe(subject, onMessage) {
      connection.subscribe(subject, {
        callback: (error, message) =>
          error === null ? onMessage(message.data, message.subject) : log.warn({ subject, err: error }, 'nats.subscription'),
      })
      await connection.flush()
    },
    onState: (listener) => void listeners.push(listener),
    close: () => connection.close(),
  }
}
