/**
 * How many requests may be sent a second time because a live server was full: each success earns a part of a retry, so a fleet that refuses
 * everything is not asked twice for everything. Requests that never reached a server, or that a dead one lost, are not counted here.
 */
import { limits } from '../../core/limits.ts'

export class RetryBudget {
  #tokens: number
  readonly #most: number

  /** `share` divides the proxy's budget among its workers. */
  constructor(share = 1) {
    this.#most = limits.retryTokensMax * share
    this.#tokens = this.#most
  }

  earn(): void {
    if (this.#tokens < this.#most) this.#tokens = Math.min(this.#most, this.#tokens + limits.retryTokensPerSuccess)
  }

  take(): boolean {
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }
}
