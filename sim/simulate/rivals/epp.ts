/**
 * The endpoint picker of llm-d with its chart's weights: queue 2, KV cache 2, prefix 3. Queue: 1 for the shortest and 0 for the longest, 1 for all when all
 * are equal; KV: what is free; prefix: the share of the prompt's blocks that were sent there before, of 16 tokens, 256 at most, 31,250 remembered of each
 * endpoint. The highest sum wins, a tie by lot. Endpoints above the limits (5 waiting, 0.8 of the KV cache) are left out while there are others. Numbers are
 * those of the last report, without what was sent since; unknown ones score as nothing waiting and nothing used.
 */
import type { EndpointSlot } from '../../../data-plane/routing/endpoint-slot.ts'
import type { Pool } from '../../../data-plane/routing/pool.ts'
import { blockHashes } from '../workload/arrival.ts'
import { PrefixIndex } from './prefix-index.ts'
import type { Rival } from './rival.ts'

const WEIGHTS = { queue: 2, kv: 2, prefix: 3 } as const
const BLOCKS_MAX = 256
const BLOCKS_REMEMBERED = 31_250
const QUEUE_LIMIT = 5
const KV_LIMIT = 0.8

export type Scored = { readonly queue: number; readonly kvCacheUse: number; readonly prefix: number }

export function epp(): Rival {
  const index = new PrefixIndex(BLOCKS_REMEMBERED)
  return {
    choose(pool, { asked, draw }) {
      const slots = withinLimits(pool)
      const blocks = blockHashes(asked, BLOCKS_MAX)
      const total = Math.max(1, blocks.length)
      const scores = scoresOf(
        slots.map((slot) => ({ queue: queueOf(slot), kvCacheUse: kvOf(slot), prefix: index.matched(slot, blocks) / total })),
      )
      const best = Math.max(...scores)
      const top = slots.filter((_, at) => scores[at] === best)
      const chosen = top[Math.floor(draw() * top.length)] as EndpointSlot
      index.insert(chosen, blocks)
      return chosen
    },
  }
}

export function scoresOf(endpoints: readonly Scored[]): readonly number[] {
  const queues = endpoints.map(({ queue }) => queue)
  const [least, most] = [Math.min(...queues), Math.max(...queues)]
  return endpoints.map(
    ({ queue, kvCacheUse, prefix }) =>
      WEIGHTS.queue * (most === least ? 1 : (most - queue) / (most - least)) + WEIGHTS.kv * (1 - kvCacheUse) + WEIGHTS.prefix * prefix,
  )
}

function withinLimits(pool: Pool): readonly EndpointSlot[] {
  const slots = pool.slots
  const free = slots.filter((slot) => queueOf(slot) <= QUEUE_LIMIT && kvOf(slot) <= KV_LIMIT)
  return free.length > 0 ? free : slots
}

const queueOf = (slot: EndpointSlot): number => slot.load?.load.queueDepth ?? 0
const kvOf = (slot: EndpointSlot): number => Math.min(1, slot.load?.load.kvCacheUse ?? 0)
