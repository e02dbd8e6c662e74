/**
 * What one proxy holds, is owed and has not answered. Invariants: it is sent differences only; what it refused goes again with the next change, not
 * in a loop; what it holds and this control plane has not heard of is not taken away before the fleet had time to speak; a proxy that does not
 * answer or does not read makes changes wait, latest wins, never a queue. One owner: the control loop.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { Hello } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import type { Delta } from './delta.ts'
import type { Snapshot } from './snapshot.ts'

/** `all`: a proxy that came with nothing; every such proxy gets the same. */
export type Owed = 'all' | Differences
export type Differences = { readonly upserts: readonly string[]; readonly removed: readonly string[] }

const NO_GROUP = -1

export class ProxySession {
  readonly proxyId: string
  readonly zone: string
  lastNack = ''
  #greetedAt: Millis | undefined
  readonly #cameWithNothing: boolean
  #blocked = false
  /** Of the hello: endpoints that this control plane does not know (yet), and their versions. */
  readonly #held: Map<string, string>
  #owed = new Set<string>()
  #refused = new Set<string>()
  readonly #unanswered = new Map<string, Delta>()
  #loadsUpTo = { round: 0, group: NO_GROUP }
  #holdToldAt = Number.NEGATIVE_INFINITY

  constructor(hello: Hello, snapshot: Snapshot) {
    this.proxyId = hello.proxyId
    this.zone = hello.zone
    this.#held = new Map(Object.entries(hello.endpointVersions))
    this.#cameWithNothing = this.#held.size === 0
    if (!this.#cameWithNothing) for (const id of snapshot.ids()) this.#owe(id, snapshot)
  }

  /** True once it was told anything: the first message brings everything that it lacks. */
  get greeted(): boolean {
    return this.#greetedAt !== undefined
  }

  /** Of its greeting, what it has not answered: it lies in our memory. One that never answers is not waited for. */
  greetingBytes(now: Millis): number {
    if (this.#greetedAt === undefined || now - this.#greetedAt > limits.greetingPatience) return 0
    let bytes = 0
    for (const delta of this.#unanswered.values()) bytes += delta.bytes.length
    return bytes
  }

  /** True when the proxy is where everyone is: it takes the message that all such proxies get. */
  inStep(): boolean {
    return this.greeted && this.#owed.size === 0 && this.#held.size === 0 && this.#refused.size === 0 && !this.mustWait()
  }

  mustWait(): boolean {
    return this.#blocked || this.#unanswered.size >= limits.unansweredDeltasMax
  }

  changed(ids: readonly string[], snapshot: Snapshot): void {
    if (!this.greeted && this.#cameWithNothing) return
    for (const id of ids) this.#owe(id, snapshot)
    if (this.#refused.size === 0) return
    for (const id of this.#refused) this.#owed.add(id)
    this.#refused.clear()
    // Loads of endpoints that it did not know fell on deaf ears.
    this.heardLoads(0, NO_GROUP)
  }

  /** The fleet had time to speak: what is still unknown is gone. */
  releaseHeld(): void {
    if (this.#held.size === 0) return
    for (const id of this.#held.keys()) this.#owed.add(id)
    this.#held.clear()
  }

  /** What to send to this proxy alone; undefined when there is nothing, or it must wait. */
  takeOwed(snapshot: Snapshot, now: Millis): Owed | undefined {
    if (this.mustWait() || (this.greeted && this.#owed.size === 0)) return undefined
    const all = !this.greeted && this.#cameWithNothing
    const owed = [...this.#owed]
    this.#owed = new Set()
    this.#greetedAt ??= now
    if (all) return 'all'
    return { upserts: owed.filter((id) => snapshot.get(id) !== undefined), removed: owed.filter((id) => snapshot.get(id) === undefined) }
  }

  sent(delta: Delta): void {
    this.#unanswered.set(delta.nonce, delta)
  }

  /** The round of loads up to which it was told, and of which part of the fleet. */
  get loads(): { readonly round: number; readonly group: number } {
    return this.#loadsUpTo
  }

  heardLoads(round: number, group: number): void {
    this.#loadsUpTo = { round, group }
  }

  /** `after`: ms since it was told last. */
  holdDue(now: Millis, after: number): boolean {
    return now - this.#holdToldAt >= after
  }

  toldThatLoadsHold(now: Millis): void {
    this.#holdToldAt = now
  }

  /** An answer to a message that wants none (loads alone) is not known here, and harmless. */
  ack(nonce: string): void {
    this.#unanswered.delete(nonce)
  }

  nack(nonce: string, reason: string): void {
    this.lastNack = reason.slice(0, limits.reportTextMax)
    for (const id of this.#unanswered.get(nonce)?.ids ?? []) this.#refused.add(id)
    this.#unanswered.delete(nonce)
  }

  setBlocked(blocked: boolean): void {
    this.#blocked = blocked
  }

  #owe(id: string, snapshot: Snapshot): void {
    const held = this.#held.get(id)
    this.#held.delete(id)
    if (held === undefined || held !== snapshot.get(id)?.version) this.#owed.add(id)
  }
}
