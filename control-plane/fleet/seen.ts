/** What proxies make us think of one endpoint, apart from what its agent says. */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import { type Busyness, stepBusyness } from './busyness.ts'
import { type Doubt, NO_DOUBT, stepDoubt } from './doubt.ts'
import type { Outcomes } from './proxy-views.ts'

export type Seen = { readonly doubt: Doubt; readonly busy: Busyness }

export const NOTHING_SEEN: Seen = { doubt: NO_DOUBT, busy: undefined }

/** `ready`: its agent says so. */
export function stepSeen({ doubt, busy }: Seen, ready: boolean, outcomes: Outcomes, now: Millis): Seen {
  return { doubt: stepDoubt(doubt, ready, outcomes, now), busy: stepBusyness(busy, outcomes, now) }
}

export const sameSeen = (a: Seen, b: Seen): boolean => a.doubt === b.doubt && a.busy === b.busy

/** There is nothing to remember, and no young endpoint to spare. */
export const isNothing = ({ doubt, busy }: Seen, now: Millis): boolean =>
  busy === undefined && doubt.state === 'none' && (doubt.warmingSince === undefined || now - doubt.warmingSince > limits.slowStart)

/** When this control plane reaches hardly anybody, it is the one that is cut off, and its tries say nothing. */
export const refusedTogether = ({
  refused,
  snapshot,
}: {
  readonly refused: { readonly size: number }
  readonly snapshot: { readonly size: number }
}): boolean => refused.size * 2 > snapshot.size
