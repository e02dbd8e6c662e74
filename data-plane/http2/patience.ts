/**
 * Decides, a second at a time, who takes too long: a peer over its handshake or a header block, a stream over bytes that wait for its window.
 * Counted in ticks of the owner's clock, so a process that was itself held up blames nobody.
 */
import { limits } from '../../core/limits.ts'
import type { Guard } from './guard.ts'
import type { Stream } from './stream.ts'

export class Patience {
  #seconds = 0
  #block = 0

  /** What the peer is slow with. `settled`: its SETTINGS have come; `block`: which header block is under way, 0 for none. */
  everySecond(settled: boolean, block: number): Guard | undefined {
    if (settled && (block === 0 || block !== this.#block)) {
      this.#block = block
      this.#seconds = 0
      return undefined
    }
    if (++this.#seconds * 1_000 <= limits.headersTimeout) return undefined
    return settled ? 'slow-headers' : 'slow-handshake'
  }
}

/** The streams whose bytes have waited too long; each is told of one more second. */
export function stalledStreams(streams: Iterable<Stream>): Stream[] {
  const stalled: Stream[] = []
  for (const stream of streams) {
    if (stream.waiting === undefined) continue
    if (stream.leftMeanwhile >= limits.frameSizeMax) {
      stream.leftMeanwhile = 0
      stream.stalledSeconds = 0
    } else if (++stream.stalledSeconds * 1_000 > limits.stalledStreamMax) stalled.push(stream)
  }
  return stalled
}

/** The streams with the most to wait, so many that the rest is within bounds. */
export function largestWaiting(streams: Iterable<Stream>, waitingBytes: number): Stream[] {
  const chosen: Stream[] = []
  let left = waitingBytes
  for (const stream of [...streams].sort((a, b) => b.waitingBytes - a.waitingBytes)) {
    if (left <= limits.waitingMax) break
    left -= stream.waitingBytes
    chosen.push(stream)
  }
  return chosen
}
