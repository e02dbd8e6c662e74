/** Counts what was handed to a connection and not yet taken by the server, which is asked by a ping now and then. One per connection. */
import { limits } from '../limits.ts'

export class UnconfirmedBytes {
  readonly #ask: () => Promise<void>
  #handed = 0
  #confirmed = 0
  #asking = false

  /** `ask` resolves once the server has taken all that was handed over before. */
  constructor(ask: () => Promise<void>) {
    this.#ask = ask
  }

  get tooMany(): boolean {
    return this.#handed - this.#confirmed > limits.busUnconfirmedMax
  }

  handedOver(bytes: number): void {
    this.#handed += bytes
    if (this.#asking || this.#handed - this.#confirmed <= limits.busUnconfirmedAsk) return
    this.#asking = true
    const until = this.#handed
    this.#ask().then(
      () => {
        this.#confirmed = until
        this.#asking = false
        this.handedOver(0)
      },
      // The connection is over, and this count with it.
      () => {},
    )
  }
}
