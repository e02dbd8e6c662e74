/**
 * In turn, each as often as its weight says, and spread evenly: of weights 5, 1 and 1 the heavy one does not get its five in a row. Where nginx looks at
 * every endpoint at each pick, here each branch of the tree of weights takes turns between its two sides, so a pick costs O(log n), and weights and
 * members may change in between. Invariant: while nothing changes, n endpoints of equal weight get one of every n picks each.
 */
import type { Policy } from './policy.ts'
import type { Pool } from './pool.ts'
import { isSecondsTurn, NOT_BEGUN } from './turn.ts'
import type { WeightedSet } from './weighted-set.ts'

/** How far the branches of each set are, and how far the pool is between its sets; `plain` where nobody has a weight. */
type Turns = { readonly within: Float64Array[]; readonly between: Float64Array; plain: number }

export function roundRobin(): Policy {
  const turnsOf = new WeakMap<Pool, Turns>()
  return {
    name: 'ROUND_ROBIN',
    choose(pool) {
      let turns = turnsOf.get(pool)
      if (turns === undefined) {
        turns = { within: pool.parts.map(() => NO_TURNS), between: new Float64Array(pool.parts.length).fill(NOT_BEGUN), plain: -1 }
        turnsOf.set(pool, turns)
      }
      return pool.slotAt(indexInTurn(pool, turns))
    },
    terms: (slot) => ({ weight: slot.endpoint.weight }),
  }
}

const NO_TURNS = new Float64Array(0)

function indexInTurn(pool: Pool, turns: Turns): number {
  const { parts } = pool
  let before = 0
  for (let at = 0; at < parts.length; at++) {
    const part = parts[at] as WeightedSet
    if (part.total > 0 && !isSecondsTurn(turns.between, at, part.total, weightBehind(parts, at)))
      return before + turnWithin(part, turns, at)
    before += part.slots.length
  }
  turns.plain = (turns.plain + 1) % pool.size
  return turns.plain
}

function weightBehind(parts: readonly WeightedSet[], at: number): number {
  let sum = 0
  for (let next = at + 1; next < parts.length; next++) sum += (parts[next] as WeightedSet).total
  return sum
}

function turnWithin(part: WeightedSet, turns: Turns, at: number): number {
  let within = turns.within[at] as Float64Array
  if (within.length < part.capacity) {
    within = new Float64Array(part.capacity).fill(NOT_BEGUN)
    turns.within[at] = within
  }
  return part.turn(within)
}
