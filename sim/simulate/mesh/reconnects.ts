/** Endpoints that proxies lost the connection to: others come first until a fresh one succeeds, which is tried soon, and then ever less often. */
import { limits } from '../../../core/limits.ts'
import type { EndpointSlot } from '../../../data-plane/routing/endpoint-slot.ts'
import type { SimProxy } from './proxy.ts'

type Lost = { readonly proxy: SimProxy; readonly slot: EndpointSlot; waitMs: number }

/** As a proxy's pool does it. */
export const FIRST_TRY_MS = 50

export class Reconnects {
  readonly #lost = new Map<number, Lost>()
  #begun = 0

  /** Undefined when it is lost already. */
  begin(proxy: SimProxy, slot: EndpointSlot): number | undefined {
    if (slot.ejected) return undefined
    proxy.setEjected(slot, true)
    const id = this.#begun++
    this.#lost.set(id, { proxy, slot, waitMs: limits.ejectionFirst })
    return id
  }

  /** Answers how long to wait for the next try; undefined when it is back. */
  try(id: number, takes: (endpoint: string) => boolean): number | undefined {
    const lost = this.#lost.get(id)
    if (lost === undefined) return undefined
    if (takes(lost.slot.id)) {
      this.#lost.delete(id)
      lost.proxy.setEjected(lost.slot, false)
      return undefined
    }
    const { waitMs } = lost
    lost.waitMs = Math.min(2 * waitMs, limits.ejectionMax)
    return waitMs
  }
}
