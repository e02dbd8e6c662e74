/** Whether the agent does its work: it looks, and the bus takes what it sees. An agent whose samples stand still wants a restart, one without a bus does not. */
import type { Clock } from '../../core/clock.ts'
import type { Health } from '../../core/edge/metrics.ts'
import type { NatsLink } from '../../core/edge/nats-link.ts'
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'

const WELL: Health = { ok: true, detail: 'ok' }

export class AgentHealth {
  readonly #clock: Clock
  readonly #nats: readonly string[]
  /** Undefined until it looked for the first time. */
  #lookedAt: Millis | undefined
  /** Undefined until the bus is dialled. */
  bus: Pick<NatsLink, 'state' | 'detail'> | undefined

  constructor(clock: Clock, nats: readonly string[]) {
    this.#clock = clock
    this.#nats = nats
  }

  looked(): void {
    this.#lookedAt = this.#clock.now()
  }

  get begun(): boolean {
    return this.#lookedAt !== undefined
  }

  live(): Health {
    const still = this.#lookedAt !== undefined && this.#clock.now() - this.#lookedAt > limits.lookSilenceMax
    return still ? { ok: false, detail: 'the samples stand still' } : WELL
  }

  ready(): Health {
    const live = this.live()
    if (!live.ok || this.bus?.state() === 'up') return live
    return { ok: false, detail: this.bus?.detail() || `NATS at ${this.#nats.join(', ')} is not connected` }
  }
}
