/**
 * Where a LoRA adapter is likely to be in memory: requests for it go to those who say that they serve it, else to the endpoints that its name belongs to, in the
 * ring's order, so that all proxies and workers warm the same few. Only within the bound of `ring-hash.ts`: a hot adapter spreads, and when everybody
 * has his part, or the request names no adapter, another policy decides.
 */
import type { Policy } from './policy.ts'
import { ownerWithin } from './ring-hash.ts'

/** What a row says of adapters: the model is one, of which this is the hash, or its requests name one by a parameter. */
export type AdapterRule = { readonly key: number } | { readonly parameter: string }

export const nearAdapter = (otherwise: Policy, rule: AdapterRule): Policy => ({
  ...otherwise,
  choose(pool, ask) {
    if (ask.adapter === undefined) return otherwise.choose(pool, ask)
    // The first part of a model's pool are those who name it.
    const named = 'key' in rule ? ownerWithin(pool, ask.adapter, ask, pool.parts.slice(0, 1)) : undefined
    return named ?? ownerWithin(pool, ask.adapter, ask) ?? otherwise.choose(pool, ask)
  },
  terms: (slot, ask) => ({ ...otherwise.terms(slot, ask), ...(ask.adapter === undefined ? {} : { adapter: ask.adapter }) }),
})
