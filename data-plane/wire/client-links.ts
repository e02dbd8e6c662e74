/**
 * The clients' HTTP/2 connections of one worker: who is there, who does not answer any more, who is to connect anew, and how all are asked to leave.
 * A connection that retires is told so twice (first that it should open no more, then which streams are still served), so that no request is lost.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import { ConnectionLife, type LifeRules } from '../routing/connection-life.ts'
import type { SocketLink } from './socket-link.ts'

const OBEY_GRACE_MS = 100

/** `pongs`: answers to pings that had come when it was asked. */
type Leave = { readonly askedAt: Millis; readonly pongs: number; knewAt: Millis | undefined }

export class ClientLinks {
  readonly #lives = new Map<SocketLink, ConnectionLife>()
  readonly #rules: LifeRules
  /** Connections that were asked to leave by their age, and those that were closed because nobody answered. */
  readonly tally = { aged: 0, silent: 0 }
  #draining = false
  /** Asked to leave, and not yet told which of their streams are served. */
  readonly #leaving = new Map<SocketLink, Leave>()

  constructor(rules: LifeRules) {
    this.#rules = rules
  }

  get size(): number {
    return this.#lives.size
  }

  [Symbol.iterator](): IterableIterator<SocketLink> {
    return this.#lives.keys()
  }

  add(link: SocketLink, now: Millis, draw: number): void {
    this.#lives.set(link, new ConnectionLife(this.#rules, now, draw))
    if (this.#draining) this.#announce(link, now)
  }

  delete(link: SocketLink): void {
    this.#lives.delete(link)
    this.#leaving.delete(link)
  }

  /** Every second. */
  tick(now: Millis): void {
    for (const [link, life] of this.#lives) {
      const { connection } = link
      link.everySecond()
      if (connection.dead) continue
      const { settled, reads, talk, streams } = connection
      const step = life.step({ settled, reads, talk, streams: streams.size }, now)
      if (step !== 'none' && !this.#draining) this.#obey(link, step)
    }
  }

  #obey(link: SocketLink, step: Exclude<ReturnType<ConnectionLife['step']>, 'none'>): void {
    switch (step) {
      case 'ping':
        return link.connection.ping()
      case 'lost':
        this.tally.silent++
        link.socket.destroy()
        return
      case 'retire':
        this.tally.aged++
        return link.connection.announceShutdown()
      case 'finish':
        return link.connection.finishShutdown()
      case 'close':
        return link.close()
      default:
        return step satisfies never
    }
  }

  /** All are asked to open no more, and those that come later too. */
  announceDrain(now: Millis): void {
    this.#draining = true
    for (const link of this.#lives.keys()) this.#announce(link, now)
  }

  /**
   * What a client sent before it knew comes before its answer to the ping behind the announcement. Its HTTP/2 answers before the program above it has
   * heard, so a moment later it is told which streams are still served; one that does not answer, in the end too. True once all have been told.
   */
  stepDrain(now: Millis): boolean {
    for (const [link, leave] of this.#leaving) {
      const { connection } = link
      leave.knewAt ??= connection.pongs === leave.pongs ? undefined : now
      const due = leave.knewAt === undefined ? now - leave.askedAt >= limits.shutdownAnswerMax : now - leave.knewAt >= OBEY_GRACE_MS
      if (!due && !connection.dead) continue
      this.#leaving.delete(link)
      connection.finishShutdown()
    }
    return this.#leaving.size === 0
  }

  #announce(link: SocketLink, now: Millis): void {
    link.connection.announceShutdown()
    link.connection.ping()
    this.#leaving.set(link, { askedAt: now, pongs: link.connection.pongs, knewAt: undefined })
  }

  closeAll(): void {
    for (const link of this.#lives.keys()) link.close()
  }
}
