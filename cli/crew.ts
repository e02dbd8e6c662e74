/**
 * The child processes of `millrace up`. They end in reverse order of their start, each one heard to its end; one that dies by itself is reported once,
 * with what it said last.
 */
import { type Child, lastLines } from './child.ts'
import { CommandFailure } from './command-failure.ts'

export class Crew {
  readonly #members: Child[] = []
  readonly #onDeath: (failure: CommandFailure) => void
  #stopping = false

  constructor(onDeath: (failure: CommandFailure) => void) {
    this.#onDeath = onDeath
  }

  get members(): readonly Child[] {
    return this.#members
  }

  /** A child that joins while the crew is stopping is stopped too. */
  async join<Member extends Child>(starting: Promise<Member>): Promise<Member> {
    const child = await starting
    if (this.#stopping) {
      await child.stop()
      throw new CommandFailure('stopped while starting')
    }
    this.#members.push(child)
    void child.exited.then((code) => {
      if (!this.#stopping)
        this.#onDeath(
          new CommandFailure(`${child.name} ended unexpectedly (${code ?? 'killed'}); it said last:\n${lastLines(child.stderr)}`),
        )
    })
    return child
  }

  async stop(): Promise<void> {
    this.#stopping = true
    for (const child of this.#members.splice(0).reverse()) await child.stop()
  }

  kill(): void {
    this.#stopping = true
    for (const child of this.#members) child.kill()
  }
}
