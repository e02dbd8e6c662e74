/** The timers of a request: for its first message, then for its deadline; and those of its attempts, which end with it. */

import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import type { Timer, TimerWheel } from '../admission/timer-wheel.ts'
import type { Exchange } from './exchange.ts'

export type Late = { firstMessage(exchange: Exchange): void; deadline(exchange: Exchange): void }

export class Waits {
  readonly #wheel: TimerWheel
  readonly #late: Late

  constructor(wheel: TimerWheel, late: Late) {
    this.#wheel = wheel
    this.#late = late
  }

  begin(exchange: Exchange): void {
    if (!awaitsMessage(exchange)) return this.#awaitDeadline(exchange)
    exchange.timer = this.#wheel.schedule(millis(exchange.arrivedAt + limits.firstMessageTimeout), () => this.#late.firstMessage(exchange))
  }

  /** What is left to wait for is the deadline. */
  messageCame(exchange: Exchange): void {
    if (exchange.timer === undefined || !awaitsMessage(exchange)) return
    this.#wheel.cancel(exchange.timer)
    exchange.timer = undefined
    this.#awaitDeadline(exchange)
  }

  /** From now on somebody else looks to its deadline. */
  handOver(exchange: Exchange): void {
    this.#cancel(exchange.timer)
    exchange.timer = undefined
  }

  end({ timer, pause, hedgeTimer }: Exchange): void {
    this.#cancel(timer)
    this.#cancel(pause)
    this.#cancel(hedgeTimer)
  }

  #awaitDeadline(exchange: Exchange): void {
    if (exchange.deadline !== undefined) exchange.timer = this.#wheel.schedule(exchange.deadline, () => this.#late.deadline(exchange))
  }

  #cancel(timer: Timer | undefined): void {
    if (timer !== undefined) this.#wheel.cancel(timer)
  }
}

/** A far deadline gives a client no more time for its first message than none. */
const awaitsMessage = ({ method, deadline, arrivedAt }: Exchange): boolean =>
  method.kind !== 'route' && method.kind !== 'any' && (deadline === undefined || deadline - arrivedAt > limits.firstMessageTimeout)
