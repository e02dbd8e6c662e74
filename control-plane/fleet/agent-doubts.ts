/**
 * Names what is odd about an agent, so that a person looks at it. Nothing here takes a node out of service: each oddity is made harmless where it would
 * act (ages count from arrival, old reports are dropped, an unbelievable load is withheld), and is told. One owner: the control loop.
 */
import { limits } from '../../core/limits.ts'
import type { Millis, UnixMillis } from '../../core/units.ts'

export const ODDITIES = ['clock-off', 'replays', 'twin-agents', 'idle-always'] as const
export type Oddity = (typeof ODDITIES)[number]

type NodeDoubts = {
  clockOffMs: number
  replaysFrom: Millis
  replays: number
  replaysNamedAt: Millis | undefined
  twinAt: Millis | undefined
  readonly idle: Set<string>
}

export class AgentDoubts {
  readonly #nodes = new Map<string, NodeDoubts>()

  /** What the agent's wall clock said, beside our own. */
  clock(node: string, theirs: UnixMillis, ours: UnixMillis): void {
    const off = theirs - ours
    if (Math.abs(off) <= limits.clockOffMax && !this.#nodes.has(node)) return
    this.#of(node).clockOffMs = Math.abs(off) <= limits.clockOffMax ? 0 : off
  }

  replayed(node: string, now: Millis): void {
    const doubts = this.#of(node)
    if (now - doubts.replaysFrom >= limits.oddKept) Object.assign(doubts, { replaysFrom: now, replays: 0 })
    if (++doubts.replays >= limits.replaysNamed) doubts.replaysNamedAt = now
  }

  twin(node: string, now: Millis): void {
    this.#of(node).twinAt = now
  }

  idle(node: string, endpoint: string, lies: boolean): void {
    if (lies) this.#of(node).idle.add(endpoint)
    else this.#nodes.get(node)?.idle.delete(endpoint)
  }

  forget(node: string): void {
    this.#nodes.delete(node)
  }

  has(node: string): boolean {
    return this.#nodes.has(node)
  }

  /** The words for each; what is long past is forgotten. */
  of(node: string, now: Millis): ReadonlyMap<Oddity, string> {
    const odd = new Map<Oddity, string>()
    const doubts = this.#nodes.get(node)
    if (doubts === undefined) return odd
    const { clockOffMs, replaysFrom, replaysNamedAt, twinAt, idle } = doubts
    const recent = (at: Millis | undefined): boolean => at !== undefined && now - at < limits.oddKept
    if (clockOffMs !== 0) odd.set('clock-off', `its clock is ${howFar(clockOffMs)}; nothing depends on it here, but its own logs mislead`)
    if (recent(replaysNamedAt)) odd.set('replays', 'old reports arrive again and again; look for something that repeats its messages')
    if (recent(twinAt)) odd.set('twin-agents', 'two agents use the name of this node; give each host its own --node')
    if (idle.size > 0)
      odd.set(
        'idle-always',
        `${[...idle].join(', ')}: says it is idle while proxies wait for it; its load is not believed until it says otherwise`,
      )
    if (odd.size === 0 && idle.size === 0 && now - replaysFrom >= limits.oddKept) this.#nodes.delete(node)
    return odd
  }

  #of(node: string): NodeDoubts {
    const known = this.#nodes.get(node)
    if (known !== undefined) return known
    const doubts = {
      clockOffMs: 0,
      replaysFrom: 0 as Millis,
      replays: 0,
      replaysNamedAt: undefined,
      twinAt: undefined,
      idle: new Set<string>(),
    }
    this.#nodes.set(node, doubts)
    return doubts
  }
}

/** Coarse, so that a clock that drifts is not news all the time. */
function howFar(offMs: number): string {
  const seconds = Math.abs(offMs) / 1000
  const far =
    seconds < 90
      ? `${Math.round(seconds / 10) * 10} s`
      : seconds < 5_400
        ? `${Math.round(seconds / 60)} min`
        : `${Math.round(seconds / 3_600)} h`
  return `${far} ${offMs > 0 ? 'ahead' : 'behind'}`
}
