/**
 * Opens one connection to an endpoint that is suspect and says how it went: it opened, was refused, or did not answer within the limit. Few at once; the
 * rest waits, and the control loop asks for a bounded number.
 */
import { connect } from 'node:net'
import { limits } from '../../core/limits.ts'
import type { Connection } from '../fleet/doubt.ts'

type Ask = { readonly endpoint: string; readonly address: string }

export class SuspectTrier {
  readonly #onAnswer: (endpoint: string, address: string, connection: Connection) => void
  readonly #waiting = new Map<string, Ask>()
  #open = 0
  #closed = false

  constructor(onAnswer: (endpoint: string, address: string, connection: Connection) => void) {
    this.#onAnswer = onAnswer
  }

  /** Whoever waits already is asked once, at its newest address. */
  ask(endpoint: string, address: string): void {
    if (this.#waiting.size >= limits.suspectsWaitingMax && !this.#waiting.has(endpoint)) return
    this.#waiting.set(endpoint, { endpoint, address })
    this.#next()
  }

  close(): void {
    this.#closed = true
    this.#waiting.clear()
  }

  #next(): void {
    for (const [endpoint, { address }] of this.#waiting) {
      if (this.#open >= limits.suspectConnectsAtOnce) return
      this.#waiting.delete(endpoint)
      this.#open++
      void tryConnection(address).then((connection) => {
        this.#open--
        if (this.#closed) return
        this.#onAnswer(endpoint, address, connection)
        this.#next()
      })
    }
  }
}

/** host:port, [v6]:port or unix:path; an address was checked at the door. */
function targetOf(address: string): { path: string } | { host: string; port: number } {
  if (address.startsWith('unix:')) return { path: address.slice('unix:'.length) }
  const colon = address.lastIndexOf(':')
  return { host: address.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(address.slice(colon + 1)) }
}

export async function tryConnection(address: string): Promise<Connection> {
  const target = targetOf(address)
  if ('port' in target && (target.port < 1 || target.port > 65_535))
    return { open: false, reason: `${address} has no port that there can be` }
  const socket = connect(target)
  const { promise, resolve } = Promise.withResolvers<Connection>()
  const limit = setTimeout(
    () => resolve({ open: false, reason: `${address} did not answer within ${limits.suspectConnectTimeout} ms` }),
    limits.suspectConnectTimeout,
  )
  socket.on('connect', () => resolve({ open: true }))
  socket.on('error', (error) => resolve({ open: false, reason: error.message }))
  try {
    return await promise
  } finally {
    clearTimeout(limit)
    socket.destroy()
  }
}
