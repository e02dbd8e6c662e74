/** What an operator wants of a node, and its stored form. Invariant: nothing but an operator lifts an intent, so a value that cannot be read changes nothing. */
import { limits } from '../../core/limits.ts'

export type Intent = {
  readonly want: 'serve' | 'drain'
  readonly reason: string /** Wall clock, for people: ISO 8601. */
  readonly at: string
}

export const SERVE: Intent = { want: 'serve', reason: '', at: '' }

/** The store's revision orders intents: an older one never undoes a newer one. */
export type StoredIntent = { readonly intent: Intent; readonly revision: number }

export const writeIntent = (intent: Intent): string =>
  JSON.stringify({ intent: intent.want, reason: intent.reason.slice(0, limits.reportTextMax), at: intent.at })

export function parseIntent(text: string): Intent | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { intent, reason, at } = value as Record<string, unknown>
  if (intent !== 'serve' && intent !== 'drain') return undefined
  return { want: intent, reason: typeof reason === 'string' ? reason : '', at: typeof at === 'string' ? at : '' }
}
