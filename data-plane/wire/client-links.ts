/**
 * The clients' HTTP/2 connections of one worker: who is there, who does not answer any more, who is to connect anew, and how all are asked to leave.
 * A connection that retires is told so twice (first that it should open no more, then which streams are still served), so that no request is lost.
 */
import type { Millis } from '../../core/units.ts'
import { ConnectionLife, type LifeRules } from '../routing/connection-life.ts'
import type { SocketLink } from './socket-link.ts'

export class ClientLinks {
  readonly #lives = new Map<SocketLink, ConnectionLife>()
  readonly #rules: LifeRules
  /** Connections that were asked to leave by their age, and those that were closed because nobody answered. */
  readonly tally = { aged: 0, silent: 0 }
  #draining = false

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
    if (this.#draining) link.connection.announceShutdown()
  }

  delete(link: SocketLink): void {
    this.#lives.delete(link)
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
  announceDrain(): void {
    this.#draining = true
    for (const link of this.#lives.keys()) link.connection.announceShutdown()
  }

  finishDrain(): void {
    for (const link of this.#lives.keys()) link.connection.finishShutdown()
  }

  closeAll(): void {
    for (const link of this.#lives.keys()) link.close()
  }
}
