/**
 * What a refused caller is told of when to come back, as gRPC's own retries take it (gRFC A6, pushback) and in words. The time is spread by a draw in [0, 1), so
 * that those who were refused together do not come back together.
 */
import type { Millis } from '../../core/units.ts'
import { type HeaderField, headerField } from '../http2/header-field.ts'

/** Of the time, at most that much is added. */
const SPREAD = 0.5

export function retryHint(again: Millis, draw: number): { readonly fields: readonly HeaderField[]; readonly words: string } {
  const ms = Math.ceil(again * (1 + SPREAD * draw))
  return { fields: [headerField('grpc-retry-pushback-ms', String(ms))], words: `try again in ${(ms / 1_000).toFixed(1)} s` }
}
