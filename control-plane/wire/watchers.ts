/** Streams of the admin API that tell the whole first and every change after: names of what changed are gathered, and told as it is when told. */
import type { ServerWritableStream } from '@grpc/grpc-js'
import { status } from '@grpc/grpc-js'
import { limits } from '../../core/limits.ts'

type Watcher<Message> = { readonly call: ServerWritableStream<unknown, Message>; pending: Set<string>; blocked: boolean }

/** `Item` is what is watched; `describe` answers undefined for what is gone. */
export class Watchers<Item, Message> {
  readonly #all: () => Iterable<string>
  readonly #describe: (id: string) => Item | undefined
  readonly #message: (changed: Item[], removed: string[]) => Message
  readonly #watchers = new Set<Watcher<Message>>()
  #timer: NodeJS.Timeout | undefined

  constructor(ports: {
    readonly all: () => Iterable<string>
    readonly describe: (id: string) => Item | undefined
    readonly message: (changed: Item[], removed: string[]) => Message
  }) {
    this.#all = ports.all
    this.#describe = ports.describe
    this.#message = ports.message
  }

  add(call: ServerWritableStream<unknown, Message>): void {
    if (this.#watchers.size >= limits.watchersMax) {
      call.emit('error', { code: status.RESOURCE_EXHAUSTED, details: `${limits.watchersMax} watches are open already` })
      return
    }
    const watcher: Watcher<Message> = { call, pending: new Set(this.#all()), blocked: false }
    this.#watchers.add(watcher)
    this.#timer ??= setInterval(() => this.#flushAll(), limits.watchPeriod)
    const gone = (): void => this.#remove(watcher)
    for (const event of ['cancelled', 'close', 'error'] as const) call.on(event, gone)
    call.on('drain', () => {
      watcher.blocked = false
    })
    // The whole comes at once, also when it is nothing: a watcher of an empty fleet is told that it is empty.
    this.#flush(watcher)
  }

  changed(ids: ReadonlySet<string>): void {
    for (const watcher of this.#watchers) for (const id of ids) watcher.pending.add(id)
  }

  close(): void {
    for (const watcher of [...this.#watchers]) {
      this.#remove(watcher)
      watcher.call.end()
    }
  }

  #remove(watcher: Watcher<Message>): void {
    this.#watchers.delete(watcher)
    if (this.#watchers.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #flushAll(): void {
    for (const watcher of this.#watchers) if (!watcher.blocked && watcher.pending.size > 0) this.#flush(watcher)
  }

  #flush(watcher: Watcher<Message>): void {
    const changed: Item[] = []
    const removed: string[] = []
    for (const id of watcher.pending) {
      const item = this.#describe(id)
      if (item === undefined) removed.push(id)
      else changed.push(item)
    }
    watcher.pending = new Set()
    watcher.blocked = !watcher.call.write(this.#message(changed, removed))
  }
}
