/** What a model's row may say of further attempts, as a file writes it. */
import { z } from 'zod'
import { limits } from '../../core/limits.ts'

/** A day: a larger number is a slip of units. */
const AFTER_MAX_MS = 86_400_000

export const retryRow = z.strictObject({ attempts: z.int().min(1).max(limits.attemptsMax) })

export const hedgeRow = z
  .strictObject({ afterMs: z.int().positive().max(AFTER_MAX_MS).optional(), quantile: z.number().min(0.5).max(0.999).optional() })
  .refine((rule) => (rule.afterMs === undefined) !== (rule.quantile === undefined), 'wants either afterMs or quantile')

export const RETRY_FIELDS = { retry: ['attempts'], hedge: ['afterMs', 'quantile'] } as const
