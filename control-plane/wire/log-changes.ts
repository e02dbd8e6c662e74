/** Writes state changes to the log, so many a second: a fleet that falls over must not fill a disk. What is left out is counted, and said when it ends. */
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/edge/log.ts'
import { limits } from '../../core/limits.ts'
import type { StateChange } from '../fleet/history.ts'

export class ChangeLog {
  readonly #log: Pick<Logger, 'info' | 'warn'>
  readonly #clock: Clock
  #tokens: number = limits.changesLoggedBurst
  #filledAt: number
  #untold = 0
  leftOut = 0

  constructor(log: Pick<Logger, 'info' | 'warn'>, clock: Clock) {
    this.#log = log
    this.#clock = clock
    this.#filledAt = clock.now()
  }

  write(changes: readonly StateChange[]): void {
    const now = this.#clock.now()
    this.#tokens = Math.min(limits.changesLoggedBurst, this.#tokens + ((now - this.#filledAt) / 1000) * limits.changesLoggedPerSecond)
    this.#filledAt = now
    for (const change of changes) this.#writeOne(change)
  }

  #writeOne({ node, endpoint, from, to, reason }: StateChange): void {
    if (this.#tokens < 1) {
      this.#untold++
      this.leftOut++
      return
    }
    this.#tokens--
    if (this.#untold > 0) this.#log.warn({ leftOut: this.#untold }, 'state.changes-not-logged')
    this.#untold = 0
    if (endpoint === '') this.#log.info({ node, from, to, reason }, 'node.changed')
    else this.#log.info({ endpoint, from, to, reason }, 'endpoint.changed')
  }
}
