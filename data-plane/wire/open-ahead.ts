/**
 * Opens connections to endpoints before their first request: a few at a time, and to so many endpoints at most, because a fleet of ten thousand must not
 * be dialled at once. The others are dialled when they are chosen.
 */
import { limits } from '../../core/limits.ts'
import type { EndpointSlot } from '../routing/endpoint-slot.ts'
import type { UpstreamPool } from './upstream-pool.ts'

export class OpenAhead {
  /** Undefined when the endpoint is gone. */
  readonly #poolOf: (slot: EndpointSlot) => UpstreamPool | undefined
  readonly #queue: EndpointSlot[] = []
  #left: number = limits.openAheadMax
  #dialling = 0

  constructor(poolOf: (slot: EndpointSlot) => UpstreamPool | undefined) {
    this.#poolOf = poolOf
  }

  add(slot: EndpointSlot): void {
    if (slot.endpoint.state !== 'READY' || slot.endpoint.protocol === 'HTTP' || this.#left === 0) return
    this.#left--
    this.#queue.push(slot)
    this.#next()
  }

  #next(): void {
    while (this.#dialling < limits.openAheadAtOnce) {
      const slot = this.#queue.shift()
      if (slot === undefined) return
      this.#dialling++
      const done = (): void => {
        this.#dialling--
        this.#next()
      }
      // Later: it may be called while the snapshot is still being taken in.
      setImmediate(() => {
        const pool = this.#poolOf(slot)
        if (pool === undefined) done()
        else pool.warm(done)
      })
    }
  }
}
