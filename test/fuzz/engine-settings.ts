/** The SETTINGS of the engine's peer: what it has sent, what counts already, and what counts once the engine has acknowledged it. */
import type { Draw } from './draw.ts'
import * as wire from './frames.ts'
import { must } from './target.ts'

export const WINDOW_MAX = 2 ** 31 - 1
export const WINDOW_DEFAULT = 65_535
export const INITIAL_WINDOW_SIZE = 4
const MAX_CONCURRENT_STREAMS = 3
const FRAME_MAX = 16_384
const INITIAL_WINDOWS = [0, 1, 100, 9_999, WINDOW_DEFAULT, 1 << 20, WINDOW_MAX]

type Pending = { readonly window: number | undefined; readonly streamsMax: number | undefined }

export class SentSettings {
  /** Of a stream that the engine opens now. */
  initial = WINDOW_DEFAULT
  #streamsMax = WINDOW_MAX
  readonly #pending: Pending[] = []

  get waits(): boolean {
    return this.#pending.length > 0
  }

  /** By how much what is under way may widen windows. */
  get raise(): number {
    return this.#pending.reduce((sum, { window }) => sum + Math.max(0, (window ?? this.initial) - this.initial), 0)
  }

  /** Streams that the engine may open, by whichever it goes. */
  get streamsMost(): number {
    return Math.max(this.#streamsMax, ...this.#pending.map((one) => one.streamsMax ?? 0))
  }

  /** The payload of further ones; `highest` is the widest window of a stream, which must not become wider than a window may be. */
  write(highest: number, draw: Draw): Buffer {
    const waiting = this.#pending.some((one) => one.window !== undefined)
    const wanted = draw.pick(INITIAL_WINDOWS)
    const raised = Math.max(this.initial, highest) - this.initial
    const window = !waiting && draw.oneIn(2) ? Math.min(wanted, WINDOW_MAX - raised) : undefined
    const streamsMax = draw.oneIn(3) ? draw.pick([1, 3, 100, WINDOW_MAX]) : undefined
    const values: [number, number][] = []
    if (window !== undefined) values.push([INITIAL_WINDOW_SIZE, window])
    if (streamsMax !== undefined) values.push([MAX_CONCURRENT_STREAMS, streamsMax])
    if (draw.oneIn(3)) values.push([draw.between(20, 65_535), draw.bits()])
    if (draw.oneIn(4)) values.push([5, draw.between(FRAME_MAX, 0xffffff)], [1, draw.below(1 << 20)])
    if (draw.oneIn(2)) values.reverse()
    this.#pending.push({ window, streamsMax })
    return wire.settingsPayload(values)
  }

  /** The oldest counts from now on; answers by how much each stream's window changes. */
  acknowledged(): number {
    const settled = this.#pending.shift()
    must(settled !== undefined, 'an acknowledgement of nothing')
    if (settled.streamsMax !== undefined) this.#streamsMax = settled.streamsMax
    if (settled.window === undefined) return 0
    const change = settled.window - this.initial
    this.initial = settled.window
    return change
  }
}
