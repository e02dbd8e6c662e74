/**
 * Decides what a node's silence means. Invariants: silence makes an endpoint stale and then the last resort, never failed; it does not count while
 * our own link is down, for a grace after it returns, while we stood still ourselves, or when more than half of the nodes that spoke go silent together, for then we are the deaf
 * one; and nothing but a report makes a last resort fresh again. One owner: the control loop.
 */
import { limits } from '../../core/limits.ts'
import type { Freshness } from '../../core/mesh-snapshot.ts'
import { type Millis, millis } from '../../core/units.ts'

export type Hearing = { readonly heardAt: Millis; readonly interval: Millis }

/** `changed` names the other nodes whose freshness this look changed. */
export type Look = { readonly nextLookAt: Millis; readonly changed: readonly string[] }

/** And as much again, since looks come in slots. */
const SHOWS_AFTER = (limits.staleAfterMissed + 1) * limits.reportPeriod

export class SilenceWatch {
  /** Silence before this does not count; undefined while the link is down. */
  #countsFrom: Millis | undefined
  /** Nor before this: what was said while we stood still waits to be read. */
  #listensFrom = Number.NEGATIVE_INFINITY
  #together = false
  readonly #known = new Set<string>()
  readonly #stale = new Set<string>()
  readonly #lastResort = new Set<string>()

  linkUp(now: Millis): void {
    this.#countsFrom ??= millis(now + limits.linkReturnGrace)
  }

  linkDown(): void {
    this.#countsFrom = undefined
  }

  freshness(node: string): Freshness {
    if (this.#lastResort.has(node)) return 'last-resort'
    return this.#stale.has(node) && !this.#together ? 'stale' : 'fresh'
  }

  /** Who falls silent now is stale after the usual number of reports, and whoever was silent before is so already: what is fresh was heard. */
  wouldShow(now: Millis): boolean {
    return this.hears(now) && now >= this.#listensFrom + SHOWS_AFTER
  }

  /** The same, whatever was missed by standing still, which passes. */
  hears(now: Millis): boolean {
    return this.#countsFrom !== undefined && !this.#together && now >= this.#countsFrom + SHOWS_AFTER
  }

  stoodStill(now: Millis): void {
    this.#listensFrom = now
  }

  /** Names the nodes whose freshness changed, the speaker possibly among them. */
  heard(node: string, now: Millis): readonly string[] {
    const was = this.freshness(node)
    this.#known.add(node)
    this.#stale.delete(node)
    this.#lastResort.delete(node)
    const others = this.#reconsiderTogether(now)
    return was === 'fresh' ? others : [node, ...others]
  }

  forget(node: string, now: Millis): readonly string[] {
    this.#known.delete(node)
    this.#stale.delete(node)
    this.#lastResort.delete(node)
    return this.#reconsiderTogether(now)
  }

  look(node: string, { heardAt, interval }: Hearing, now: Millis): Look {
    const later = (missed: number, from: number): Millis => millis(from + missed * interval)
    if (this.#lastResort.has(node)) return { nextLookAt: millis(heardAt + limits.nodeForgottenAfter), changed: [] }
    if (this.#countsFrom === undefined) return { nextLookAt: later(limits.staleAfterMissed, now), changed: [] }
    const from = Math.max(heardAt, this.#countsFrom, this.#listensFrom)
    const missed = (now - from) / interval
    if (missed < limits.staleAfterMissed) return { nextLookAt: later(limits.staleAfterMissed, from), changed: [] }
    const was = this.freshness(node)
    this.#stale.add(node)
    const others = this.#reconsiderTogether(now).filter((other) => other !== node)
    if (missed >= limits.lastResortAfterMissed && !this.#together) {
      this.#stale.delete(node)
      this.#lastResort.add(node)
    }
    const changed = this.freshness(node) === was ? others : [node, ...others]
    if (this.#lastResort.has(node)) return { nextLookAt: millis(heardAt + limits.nodeForgottenAfter), changed }
    return { nextLookAt: this.#together ? later(1, now) : later(limits.lastResortAfterMissed, from), changed }
  }

  /** Those long given up do not count: a mesh whose old hosts went one by one can still see one more go. */
  #reconsiderTogether(now: Millis): readonly string[] {
    const together = this.#stale.size * 2 > this.#known.size - this.#lastResort.size
    if (together === this.#together) return []
    this.#together = together
    if (together) return [...this.#stale]
    // Who is still silent is counted anew: while all were silent together nothing was learned of any of them.
    this.#stale.clear()
    if (this.#countsFrom !== undefined) this.#countsFrom = millis(Math.max(this.#countsFrom, now))
    return []
  }
}
