/**
 * Streams of state changes: of one node those remembered come first, then each as it happens. A reader that is slow loses the oldest that wait for it, and
 * is told how many.
 */
import { type ServerWritableStream, status } from '@grpc/grpc-js'
import { limits } from '../../core/limits.ts'
import type { StateChange, WatchChangesRequest, WatchChangesResponse } from '../../proto/gen/millrace/admin/v1/admin.ts'

type Call = ServerWritableStream<WatchChangesRequest, WatchChangesResponse>
type Watcher = { readonly call: Call; readonly node: string; waiting: StateChange[]; leftOut: number; blocked: boolean }

export class ChangeWatchers {
  readonly #watchers = new Set<Watcher>()
  /** Changes that slow readers were not told. */
  leftOut = 0

  /** `remembered`: what to begin with, oldest first. */
  add(call: Call, remembered: readonly StateChange[]): void {
    if (this.#watchers.size >= limits.watchersMax) {
      call.emit('error', { code: status.RESOURCE_EXHAUSTED, details: `${limits.watchersMax} watches of changes are open already` })
      return
    }
    const watcher: Watcher = { call, node: call.request.nodeId, waiting: [...remembered], leftOut: 0, blocked: false }
    this.#watchers.add(watcher)
    for (const event of ['cancelled', 'close', 'error'] as const) call.on(event, () => this.#watchers.delete(watcher))
    call.on('drain', () => {
      watcher.blocked = false
      this.#flush(watcher)
    })
    this.#flush(watcher, true)
  }

  changed(changes: readonly StateChange[]): void {
    for (const watcher of this.#watchers) {
      for (const change of changes) if (watcher.node === '' || watcher.node === change.nodeId) watcher.waiting.push(change)
      const over = watcher.waiting.length - limits.changesWaitingMax
      if (over > 0) {
        watcher.waiting.splice(0, over)
        watcher.leftOut += over
        this.leftOut += over
      }
      this.#flush(watcher)
    }
  }

  close(): void {
    for (const { call } of this.#watchers) call.end()
    this.#watchers.clear()
  }

  /** `always`: a watcher of a node without history is told that there is none. */
  #flush(watcher: Watcher, always = false): void {
    const { call, waiting, leftOut, blocked } = watcher
    if (blocked || (waiting.length === 0 && !always)) return
    watcher.waiting = []
    watcher.leftOut = 0
    const changes = leftOut === 0 ? waiting : [gap(waiting[0], leftOut), ...waiting]
    watcher.blocked = !call.write({ changes })
  }
}

const gap = (next: StateChange | undefined, leftOut: number): StateChange => ({
  atUnixMs: next?.atUnixMs ?? 0n,
  nodeId: '',
  endpointId: '',
  from: '',
  to: '',
  reason: `${leftOut} changes before this one were left out: the reader is slow`,
})
