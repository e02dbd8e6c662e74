import type { Logger } from './log.ts'

/** Runs the closers once, in reverse order of opening, when the process is asked to stop or one part fails. A second signal stops at once. */
export class ProcessLife {
  readonly #closers: { readonly name: string; readonly close: () => Promise<void> | void }[] = []
  readonly #log: Logger
  #stopping: Promise<void> | undefined

  constructor(log: Logger) {
    this.#log = log
  }

  onStop(name: string, close: () => Promise<void> | void): void {
    this.#closers.push({ name, close })
  }

  /** The process was asked to stop, and does. */
  get stopping(): boolean {
    return this.#stopping !== undefined
  }

  /** Stops on SIGINT and SIGTERM, and when the parent that forked this process goes away. */
  obeySignals(): void {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.on(signal, () => {
        if (this.#stopping !== undefined) process.exit(130)
        void this.stop(0)
      })
    if (process.send !== undefined) process.once('disconnect', () => void this.stop(0))
  }

  stop(exitCode: number): Promise<void> {
    this.#stopping ??= this.#run(exitCode)
    return this.#stopping
  }

  async #run(exitCode: number): Promise<void> {
    for (const closer of this.#closers.reverse())
      try {
        await closer.close()
      } catch (error) {
        this.#log.error({ closer: closer.name, err: error }, 'stop.failed')
        exitCode = exitCode || 1
      }
    process.exit(exitCode)
  }
}
