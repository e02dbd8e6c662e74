/** What a model's row may say of where its requests go, as a file writes it. Whether the rows fit together is asked of all of them at once. */
import { z } from 'zod'
import { limits } from '../../core/limits.ts'
import type { Endpoint, Model } from '../../core/mesh-snapshot.ts'
import { targetProblem } from '../routing/check-targets.ts'

/** Larger ones say nothing more, and their sum must stay a number. */
const WEIGHT_MAX = 1_000_000

const name = z.string().min(1).max(limits.modelNameMax)
const weight = z.number().nonnegative().max(WEIGHT_MAX)

export const rowTargets = {
  aliases: z.array(name).max(limits.aliasesPerModelMax).optional(),
  split: z
    .array(z.strictObject({ model: name.optional(), version: name.optional(), weight }))
    .max(limits.splitPartsMax)
    .refine((parts) => parts.some((part) => part.weight > 0), 'wants at least one part with a weight above 0')
    .optional(),
  fallbacks: z.array(name).min(1).max(limits.fallbacksMax).optional(),
  shadow: z.strictObject({ model: name, version: name.optional(), share: z.number().positive().max(1) }).optional(),
}

export const ROW_TARGETS_KNOWN = { split: ['model', 'version', 'weight'], shadow: ['model', 'version', 'share'] }

export function checkTargets(models: readonly Model[], endpoints: readonly Pick<Endpoint, 'models'>[], context: z.RefinementCtx): void {
  const problem = targetProblem(models, endpoints)
  if (problem !== undefined) context.addIssue({ code: 'custom', path: [...problem.path], message: problem.message })
}
