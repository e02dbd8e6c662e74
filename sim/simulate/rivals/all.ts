/** The ways of choosing that the product is held against, by name. Each with the constants that its own project ships, the same in every scenario. */
import { capacityRoundRobin } from './capacity-round-robin.ts'
import { epp } from './epp.ts'
import { leastRequestP2c } from './least-request-p2c.ts'
import { peakEwma } from './peak-ewma.ts'
import { prequal } from './prequal.ts'
import type { Rival } from './rival.ts'
import { plainRoundRobin } from './round-robin.ts'
import { smgCacheAware } from './smg-cache-aware.ts'
import { smgExpectedWait } from './smg-expected-wait.ts'

export const RIVALS = {
  'round-robin': plainRoundRobin,
  'capacity-rr': capacityRoundRobin,
  'least-request-p2c': leastRequestP2c,
  'peak-ewma': peakEwma,
  prequal,
  epp,
  'smg-cache-aware': smgCacheAware,
  'smg-wait': smgExpectedWait,
} as const satisfies Readonly<Record<string, () => Rival>>

export type RivalName = keyof typeof RIVALS
export const RIVAL_NAMES = Object.keys(RIVALS) as readonly RivalName[]
