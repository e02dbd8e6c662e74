/**
 * The connection over which a server's health is asked. It is kept, so that a question costs little and its loss is news in itself; now and then it is a
 * fresh one, which also asks whether the port still accepts. A server that closes it after each answer is asked over a fresh one each time.
 */
import { Agent } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Clock } from '../../core/clock.ts'
import { limits } from '../../core/limits.ts'
import { kib, type Millis } from '../../core/units.ts'
import { type HttpAnswer, httpAsk, pageAt } from './http-ask.ts'

export type HealthLine = {
  ask(url: string): Promise<HttpAnswer>
  /** A connection stands, and its loss would be noticed. */
  stands(): boolean
  close(): void
}

const HEALTH_ANSWER_MAX = kib(64)

/** `onLoss`: the server broke the connection between two questions. */
export function healthLine(clock: Clock, onLoss: () => void): HealthLine {
  let idle: { readonly socket: Duplex; readonly since: Millis } | undefined
  let asking = false
  const drop = (socket: Duplex): void => {
    if (idle?.socket === socket) idle = undefined
  }
  const agent = new IdleAgent((socket) => {
    idle = { socket, since: clock.now() }
    socket.once('close', () => {
      const lost = idle?.socket === socket && !asking
      drop(socket)
      if (lost) onLoss()
    })
  })
  let page = { url: '', parsed: {} }
  const askOnce = (url: string): Promise<HttpAnswer> => {
    if (page.url !== url) page = { url, parsed: pageAt(url) }
    return httpAsk(page.parsed, limits.probeTimeout, HEALTH_ANSWER_MAX, undefined, agent)
  }
  return {
    async ask(url) {
      if (idle !== undefined && clock.now() - idle.since >= limits.healthConnectionAge) {
        const { socket } = idle
        drop(socket)
        socket.destroy()
      }
      const reused = idle !== undefined
      asking = true
      const answer = await askOnce(url)
      // It may have closed just when it was asked: only a fresh connection can tell.
      const settled = reused && answer.kind === 'broken' ? await askOnce(url) : answer
      asking = false
      // Whatever is no answer ended its connection from this side.
      if (settled.kind !== 'answer') idle = undefined
      return settled
    },
    stands: () => idle !== undefined,
    close() {
      idle = undefined
      agent.destroy()
    },
  }
}

/** Tells of each connection when it is left open behind its first answer. */
class IdleAgent extends Agent {
  readonly #onIdle: (socket: Duplex) => void
  readonly #known = new WeakSet<Duplex>()

  constructor(onIdle: (socket: Duplex) => void) {
    super({ keepAlive: true, maxSockets: 1 })
    this.#onIdle = onIdle
  }

  override keepSocketAlive(socket: Duplex): boolean {
    // False for a server that is about to close it; the types do not know that it says so.
    const answer: unknown = super.keepSocketAlive(socket)
    const keeps = answer !== false
    if (keeps && !this.#known.has(socket)) {
      this.#known.add(socket)
      this.#onIdle(socket)
    }
    return keeps
  }
}
