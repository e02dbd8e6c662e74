/** How one process of a proxy is doing: its longest turn of the event loop, its memory, its CPU time. Cheap enough to be always on. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { type Millis, millis } from '../../core/units.ts'

export type Vitals = {
  /** Since the last look; whoever looks keeps the worst. A turn shorter than the grain may look like none. */
  readonly longestTurn: Millis
  readonly rssBytes: number
  readonly heapBytes: number
  readonly cpuSeconds: number
}

const NANOS = 1e6
const MICROS = 1e6
const MEMORY_PERIOD_MS = 1_000

export class VitalSigns {
  readonly #grainMs: number
  readonly #delay: ReturnType<typeof monitorEventLoopDelay>
  #memory = { rss: 0, heapUsed: 0 }
  #memoryAt = Number.NEGATIVE_INFINITY

  /** A timer each `grainMs` is what sees a long turn: it fires late. The delay that the system's scheduler adds looks the same. */
  constructor(grainMs: number) {
    this.#grainMs = grainMs
    this.#delay = monitorEventLoopDelay({ resolution: grainMs })
    this.#delay.enable()
  }

  read(): Vitals {
    const now = performance.now()
    if (now - this.#memoryAt >= MEMORY_PERIOD_MS) {
      this.#memory = process.memoryUsage()
      this.#memoryAt = now
    }
    const longestTurn = millis(Math.max(0, this.#delay.max / NANOS - this.#grainMs))
    this.#delay.reset()
    const { user, system } = process.cpuUsage()
    return { longestTurn, rssBytes: this.#memory.rss, heapBytes: this.#memory.heapUsed, cpuSeconds: (user + system) / MICROS }
  }

  stop(): void {
    this.#delay.disable()
  }
}
