/**
 * What a way of choosing that is not the product's is, so that it can be held against the product's: it sees the same pools, slots and reports, at the same
 * ages, and may remember what it likes of its own. Each proxy has its own.
 */
import type { Ask } from '../../../data-plane/routing/ask.ts'
import type { EndpointSlot } from '../../../data-plane/routing/endpoint-slot.ts'
import type { Pool } from '../../../data-plane/routing/pool.ts'
import type { Prompt } from '../workload/arrival.ts'

export type RivalAsk = Ask & { readonly asked: Prompt }

export type Rival = {
  /** The pool is not empty. */
  choose(pool: Pool, ask: RivalAsk): EndpointSlot
  /** The choice was sent. */
  onSent?(slot: EndpointSlot, ask: RivalAsk): void
  /** `ttftMs`: since this attempt was sent. */
  onFirstToken?(slot: EndpointSlot, ttftMs: number, ask: Pick<Ask, 'now'>): void
  /** `ok`: it was answered in full. */
  onEnd?(slot: EndpointSlot, ok: boolean, ask: Pick<Ask, 'now'>): void
}
