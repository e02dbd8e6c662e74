/**
 * The cache-aware policy of the SGLang gateway, with its launcher's settings. Loads are this gateway's own requests. While they are even, the endpoint that
 * was sent the longest common beginning takes the request when that is more than 0.3 of it; otherwise, and while loads are uneven (their difference above
 * 64 and the largest above 1.5 × the least), the one with the least load. The prompt is remembered for whoever got it, also when that was for its load.
 */
import type { EndpointSlot } from '../../../data-plane/routing/endpoint-slot.ts'
import { blockHashes } from '../workload/arrival.ts'
import { PrefixIndex } from './prefix-index.ts'
import type { Rival } from './rival.ts'

const DIFFERENCE_MAX = 64
const RATIO_MAX = 1.5
const MATCH_MIN = 0.3
const BLOCKS_MAX = 1_024
/** Its tree holds 2^26 characters; so many blocks of 16 tokens of four characters. */
const BLOCKS_REMEMBERED = 2 ** 20

export function smgCacheAware(): Rival {
  const index = new PrefixIndex(BLOCKS_REMEMBERED)
  return {
    choose(pool, { asked, draw }) {
      const slots = pool.slots
      const blocks = blockHashes(asked, BLOCKS_MAX)
      const loads = slots.map((slot) => slot.charged)
      const matched = slots.map((slot) => index.matched(slot, blocks) / Math.max(1, blocks.length))
      const chosen = slots[chooseAware(loads, matched, draw)] as EndpointSlot
      index.insert(chosen, blocks)
      return chosen
    },
  }
}

/** An index. `matched`: shares of the prompt. */
export function chooseAware(loads: readonly number[], matched: readonly number[], draw: () => number): number {
  const [least, most] = [Math.min(...loads), Math.max(...loads)]
  const uneven = most - least > DIFFERENCE_MAX && most > RATIO_MAX * least
  const longest = Math.max(...matched)
  const wanted = !uneven && longest > MATCH_MIN ? places(matched, longest) : places(loads, least)
  return wanted[Math.floor(draw() * wanted.length)] as number
}

const places = (values: readonly number[], value: number): readonly number[] => [...values.keys()].filter((at) => values[at] === value)
