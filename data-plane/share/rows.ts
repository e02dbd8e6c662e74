/** What a primary and its workers tell one another of endpoints: the picture goes down in batches, ledgers come up as changed rows. */
import type { LoadVector } from '../../core/load-vector.ts'
import type { Endpoint } from '../../core/mesh-snapshot.ts'
import type { EndpointSlot } from '../routing/endpoint-slot.ts'
import type { PictureHead } from '../routing/routing-table.ts'

/** `teller` is one mesh stream, or a part of one: a load holds by the word of the one that told it alone, and never when that is 0. */
export type LoadRow = { readonly id: string; readonly load: LoadVector | undefined; readonly ageMs: number; readonly teller: number }

/** So long ago, what the teller told of loads was still so. */
export type LoadsHold = { readonly teller: number; readonly ageMs: number }

/** Taken in by a worker in one turn, in this order. */
export type Batch = {
  readonly upserts: readonly Endpoint[]
  readonly head: PictureHead | undefined
  readonly removed: readonly string[]
  readonly loads: readonly LoadRow[]
  /** After the loads. */
  readonly hold: LoadsHold | undefined
  /** Charges of the proxy's other workers. */
  readonly elsewhere: readonly (readonly [id: string, charged: number, unanswered: number])[]
}

export type EndpointRow = {
  readonly id: string
  readonly inFlight: number
  readonly burning: number
  readonly successes: number
  readonly backpressures: number
  readonly failures: number
  readonly ejected: boolean
}

/** Changed rows of a worker's ledger, totals since the worker knows the endpoint; COLUMNS numbers for each id. A thousand rows cross in one piece. */
export type LedgerRows = { readonly ids: readonly string[]; readonly numbers: Float64Array }

export const COLUMNS = 7

export function packRows(slots: readonly EndpointSlot[]): LedgerRows {
  const numbers = new Float64Array(COLUMNS * slots.length)
  let at = 0
  for (const slot of slots) {
    numbers[at++] = slot.inFlight
    numbers[at++] = slot.burning
    numbers[at++] = slot.successes
    numbers[at++] = slot.backpressures
    numbers[at++] = slot.failures
    numbers[at++] = slot.awayFor === undefined ? 0 : 1
    numbers[at++] = slot.unanswered
  }
  return { ids: slots.map((slot) => slot.id), numbers }
}
