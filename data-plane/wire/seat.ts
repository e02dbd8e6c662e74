/**
 * One worker as its primary sees it. It takes clients once it has said that it is ready and has heard the whole picture. Its silence is counted in
 * looks of the primary, not in time: a primary that stood still itself accuses nobody.
 */
import { type ChildProcess, fork } from 'node:child_process'
import type { Socket } from 'node:net'
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { WorkerAccounts } from '../share/ledger-sums.ts'
import { type FeedSource, WorkerFeed } from '../share/worker-feed.ts'
import type { FromWorker, ToWorker, WorkerReport } from './worker-channel.ts'

/**
 * V8 learns that some objects live long and then makes all of their kind in the old space. A relay's requests are alive together and die together, which
 * it mistakes for that: collections then took 12 ms instead of 0.3, and memory three times as much.
 */
const WORKER_FLAGS = ['--no-allocation-site-pretenuring']
const WORKER_FILE = new URL(`./worker-main${import.meta.filename.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)

/** How often a primary looks whether its workers speak. */
export const LOOK_PERIOD_MS = 1_000

export type SeatOwner = {
  onReady(seat: Seat): void
  onMessage(seat: Seat, message: Exclude<FromWorker, { kind: 'ready' | 'applied' }>): void
  onExit(seat: Seat, code: number | null, signal: NodeJS.Signals | null): void
  /** Behind its end: sockets that were for it and never left. */
  onUnsent(sockets: readonly Socket[]): void
}

export class Seat {
  /** Its place among the workers; a replacement takes that of the one before it. */
  readonly place: number
  readonly child: ChildProcess
  /** When it was started, on the process's own clock. */
  readonly since = performance.now()
  readonly feed = new WorkerFeed()
  readonly accounts: WorkerAccounts = new Map()
  readonly ready: Promise<void>
  report: WorkerReport | undefined
  state: 'starting' | 'serving' | 'leaving' = 'starting'
  readonly #source: FeedSource
  /** Node sends one socket at a time, and forgets those that wait when the worker ends. */
  readonly #unsent = new Set<Socket>()
  #handed = 0
  #rehearsed = false
  #silentLooks = 0

  constructor(place: number, owner: SeatOwner, source: (seat: Seat) => FeedSource) {
    this.place = place
    this.child = fork(WORKER_FILE, { serialization: 'advanced', execArgv: [...process.execArgv, ...WORKER_FLAGS] })
    this.#source = source(this)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.ready = promise
    this.ready.catch(() => {})
    this.child.on('message', (message: FromWorker) => {
      this.#silentLooks = 0
      if (message.kind === 'ready') this.#rehearsed = true
      else if (message.kind === 'applied') this.feed.answered()
      else return owner.onMessage(this, message)
      this.nourish()
      if (this.state !== 'starting' || !this.#rehearsed || !this.feed.knowsAll) return
      this.state = 'serving'
      owner.onReady(this)
      resolve()
    })
    this.child.once('error', reject)
    this.child.once('exit', (code, signal) => {
      reject(new Error(`a worker ended before it was ready (${signal ?? code})`))
      owner.onExit(this, code, signal)
      const unsent = [...this.#unsent]
      this.#unsent.clear()
      owner.onUnsent(unsent)
    })
  }

  /** Connections that are open in the worker or on their way to it. */
  get load(): number {
    return this.report === undefined ? this.#handed : this.#handed - this.report.taken + this.report.open
  }

  /** Tells it what it has not heard, once it has rehearsed. */
  nourish(): void {
    const batch = this.#rehearsed ? this.feed.take(this.#source) : undefined
    if (batch !== undefined) this.tell({ kind: 'batch', batch })
  }

  tell(message: ToWorker): void {
    if (this.child.connected) this.child.send(message)
  }

  /** False when it cannot take anything any more. */
  hand(socket: Socket): boolean {
    if (!this.child.connected) return false
    this.#handed++
    this.#unsent.add(socket)
    // Kept open by the kernel alone while it is under way, it ends with a worker that dies: its client sees that, and comes again.
    this.child.send({ kind: 'connection' } satisfies ToWorker, socket, { keepOpen: true }, () => {
      if (this.#unsent.delete(socket)) socket.destroy()
    })
    return true
  }

  /** It missed more than one report: new clients had better go to another. */
  get quiet(): boolean {
    return this.#silentLooks > 2
  }

  /** True once it has said nothing for too long. */
  look(): boolean {
    this.#silentLooks++
    const max = this.state === 'starting' ? limits.workerStartMax : limits.workerSilenceMax
    return this.#silentLooks * LOOK_PERIOD_MS > max
  }

  /** Lets it finish its streams, up to the limit; resolves when it is gone. */
  async leave(within: Millis): Promise<void> {
    this.state = 'leaving'
    const late = setTimeout(() => this.child.kill('SIGKILL'), within + DRAIN_PATIENCE_MS)
    await new Promise<void>((resolve) => {
      if (this.child.exitCode !== null || this.child.signalCode !== null) return resolve()
      this.child.once('exit', () => resolve())
      this.tell({ kind: 'stop' })
    })
    clearTimeout(late)
  }
}

const DRAIN_PATIENCE_MS = 2_000
