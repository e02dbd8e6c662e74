/** The way between the engine and its peer: reads that are cut anywhere, a socket that takes its time, bytes that turn over. Memory that was used is overwritten. */
import { limits } from '../../core/limits.ts'
import type { Connection } from '../../data-plane/http2/connection.ts'
import { type Gathered, SlabPool } from '../../data-plane/http2/output.ts'
import type { Draw } from './draw.ts'
import type { Peer } from './engine-peer.ts'

/** Reads, as the proxy does them: one buffer for all, overwritten by the next. */
const readBuffer = new Uint8Array(limits.readBufferSize)
const USED = 0xee
/** Shared by all cases as by all connections of a worker. */
export const slabs = new SlabPool(8, (size) => new Uint8Array(size))

export class EngineWay {
  readonly #peer: Peer
  readonly #connection: Connection
  /** Given to the socket and not taken by it. */
  #socket: Gathered[] = []

  constructor(peer: Peer, connection: Connection) {
    this.#peer = peer
    this.#connection = connection
  }

  get free(): boolean {
    return this.#socket.length === 0
  }

  deliver(draw: Draw, all: boolean): void {
    const whole = Buffer.concat(this.#peer.out)
    this.#peer.out.length = 0
    const until = all ? whole.length : draw.below(whole.length + 1)
    if (until < whole.length) this.#peer.out.push(whole.subarray(until))
    const largest = draw.pick([1, 7, 40, 3_000, readBuffer.length, readBuffer.length])
    for (let at = 0; at < until; ) {
      const length = Math.min(until - at, largest === 1 && until > 4_000 ? 500 : draw.between(1, largest))
      readBuffer.set(whole.subarray(at, at + length))
      for (let took = 0; took < length; ) took = this.#connection.receive(readBuffer, length, took)
      readBuffer.fill(USED, 0, length)
      at += length
    }
  }

  write(): void {
    if (!this.free) return
    this.#socket = this.#connection.output.take()
    this.#connection.socketBacklog = this.#socket.reduce((sum, { bytes }) => sum + bytes.length, 0)
  }

  took(): void {
    const taken = this.#socket
    this.#socket = []
    this.#connection.socketBacklog = 0
    for (const { slab, bytes } of taken) {
      this.#peer.hear(bytes)
      slab.bytes.fill(USED)
      slabs.give(slab)
    }
    this.#connection.onSocketTook()
  }

  /** Bytes turn over on their way to the engine, or are lost. */
  mangle(draw: Draw): void {
    const whole = Buffer.concat(this.#peer.out)
    if (whole.length === 0) return
    this.#peer.wild = true
    for (let i = draw.between(1, 4); i > 0; i--) whole[draw.below(whole.length)] = draw.below(256)
    const from = draw.below(whole.length)
    const cut = draw.oneIn(3)
      ? Buffer.concat([whole.subarray(0, from), whole.subarray(Math.min(whole.length, from + draw.size(300)))])
      : whole
    this.#peer.out.splice(0, this.#peer.out.length, cut)
  }
}
