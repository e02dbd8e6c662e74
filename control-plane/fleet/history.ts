/**
 * Remembers why things are as they are: each change of state with its cause and time. Bounded for each node and in all; the oldest goes first. What is new
 * waits for the tick to be told to watchers and the log, bounded too, and what is left out is counted. One owner: the control loop.
 */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'

export type StateChange = {
  readonly at: Millis
  readonly node: string
  /** Empty for a change of the node itself. */
  readonly endpoint: string
  readonly from: string
  readonly to: string
  readonly reason: string
}

export class History {
  /** Newest last. */
  readonly #ofNode = new Map<string, StateChange[]>()
  /** Every change in its order, in a ring; those that their node forgot before are passed over. */
  readonly #ring: StateChange[] = []
  #next = 0
  #size = 0
  /** What came before is not known, or made room for other nodes' changes. */
  #begins: Millis
  #untold: StateChange[] = []
  readonly counts = { changes: 0, untold: 0 }

  constructor(began: Millis) {
    this.#begins = began
  }

  note(change: StateChange): void {
    this.counts.changes++
    const own = this.#ofNode.get(change.node)
    // Most nodes change once, when they are first heard: an array that is pushed to makes room for more.
    if (own === undefined) this.#ofNode.set(change.node, [change])
    else own.push(change)
    this.#size++
    if (own !== undefined && own.length > limits.changesPerNodeMax) this.#forgetOldest(own)
    this.#evict(this.#ring[this.#next])
    this.#ring[this.#next] = change
    this.#next = (this.#next + 1) % limits.changesMax
    if (this.#untold.length < limits.changesPerTickMax) this.#untold.push(change)
    else this.counts.untold++
  }

  get size(): number {
    return this.#size
  }

  /** Newest last. */
  of(node: string): readonly StateChange[] {
    return this.#ofNode.get(node) ?? []
  }

  /** Those of them that are told already; the others are told with the next tick. */
  toldOf(node: string): readonly StateChange[] {
    const untold = new Set(this.#untold)
    return this.of(node).filter((change) => !untold.has(change))
  }

  /** Since when every change of the node is remembered. */
  since(node: string): Millis {
    const own = this.of(node)
    const oldest = own.length < limits.changesPerNodeMax ? undefined : own[0]?.at
    return millis(Math.max(this.#begins, oldest ?? 0))
  }

  takeUntold(): readonly StateChange[] {
    if (this.#untold.length === 0) return []
    const untold = this.#untold
    this.#untold = []
    return untold
  }

  #evict(change: StateChange | undefined): void {
    if (change === undefined) return
    const own = this.#ofNode.get(change.node)
    if (own?.[0] !== change) return
    this.#begins = change.at
    this.#forgetOldest(own)
    if (own.length === 0) this.#ofNode.delete(change.node)
  }

  #forgetOldest(own: StateChange[]): void {
    own.shift()
    this.#size--
  }
}
