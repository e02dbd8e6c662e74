/** Failed requests and refused clients in the log: enough to see what is wrong, never so many that writing them is what is wrong. */
import type { FromWorker } from './worker-channel.ts'

const PER_SECOND = 10

export class Complaints {
  readonly #send: (message: FromWorker) => void
  readonly #event: string
  #left = PER_SECOND
  #suppressed = 0

  constructor(send: (message: FromWorker) => void, event: string) {
    this.#send = send
    this.#event = event
  }

  add(about: Readonly<Record<string, unknown>>): void {
    if (this.#left === 0) {
      this.#suppressed++
      return
    }
    this.#left--
    this.#send({ kind: 'log', level: 'warn', event: this.#event, fields: { ...about } })
  }

  everySecond(): void {
    if (this.#suppressed > 0)
      this.#send({ kind: 'log', level: 'warn', event: `${this.#event}.more`, fields: { suppressed: this.#suppressed } })
    this.#suppressed = 0
    this.#left = PER_SECOND
  }
}
