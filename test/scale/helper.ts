/** A generator of load: a process of its own that obeys commands and tells what it saw. It ends with the run at the latest. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** Milliseconds by the machine's monotonic clock, which all its processes share. */
export const machineNow = (): number => Number(process.hrtime.bigint()) / 1e6

const live = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of live) child.kill('SIGKILL')
})

export class Helper<Command extends object, Notice extends { readonly kind: string }> {
  readonly #child: ChildProcess
  readonly #listeners = new Set<(notice: Notice) => void>()
  readonly #ended: Promise<never>

  constructor(file: string, plan: object) {
    this.#child = fork(fileURLToPath(new URL(file, import.meta.url)), [JSON.stringify(plan)], { serialization: 'json' })
    live.add(this.#child)
    this.#child.on('message', (notice) => {
      for (const listener of this.#listeners) listener(notice as Notice)
    })
    this.#ended = once(this.#child, 'exit').then(([code]) => {
      live.delete(this.#child)
      throw new Error(`a generator (${file}) ended with ${code ?? 'a signal'}`)
    })
    this.#ended.catch(() => {})
  }

  send(command: Command): void {
    this.#child.send(command)
  }

  on(listener: (notice: Notice) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The next notice of a kind; rejects when the process ends first. */
  next<Kind extends Notice['kind']>(kind: Kind): Promise<Extract<Notice, { readonly kind: Kind }>> {
    const told = new Promise<Extract<Notice, { readonly kind: Kind }>>((resolve) => {
      const off = this.on((notice) => {
        if (notice.kind !== kind) return
        off()
        resolve(notice as Extract<Notice, { readonly kind: Kind }>)
      })
    })
    return Promise.race([told, this.#ended])
  }

  stop(): void {
    this.#child.kill('SIGKILL')
  }
}

/** The generator's own side. It ends when its parent does. */
export function obey<Plan, Command, Notice>(
  run: (plan: Plan, tell: (notice: Notice) => void) => Promise<(command: Command) => void>,
): void {
  process.once('disconnect', () => process.exit(0))
  const waiting: Command[] = []
  let act = (command: Command): void => void waiting.push(command)
  process.on('message', (command) => act(command as Command))
  const tell = (notice: Notice): void => void process.send?.(notice)
  void run(JSON.parse(process.argv[2] ?? '{}') as Plan, tell).then((obeyed) => {
    act = obeyed
    for (const command of waiting) obeyed(command)
  })
}
