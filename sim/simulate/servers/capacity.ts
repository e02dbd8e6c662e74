/** How many requests per second a server can end for ever, with no prompt found in its cache: what a load of 1 means. */
import type { MeanRequest } from '../workload/workload.ts'
import { type BatchRules, DECODE_WHILE_READING } from './batch-server.ts'
import type { SlotRules } from './slot-server.ts'

/**
 * The batch is as large as slots and memory allow. A second is part reading, at full speed, and part decoding, which goes on more slowly meanwhile:
 *   answers × tokens = decoding speed × (1 − (1 − slowed) × share read).
 */
export function batchCapacity(rules: BatchRules, mean: MeanRequest): number {
  const heldTokens = mean.promptTokens + mean.outputSquared / (2 * mean.outputTokens)
  const batch = Math.max(1, Math.min(rules.slots, rules.kvTokens / heldTokens))
  const decoding = (1000 * batch) / (rules.stepMs + rules.stepMsPerRequest * batch)
  const readSeconds = mean.promptTokens / rules.prefillTokensPerSecond
  return Math.min(1 / readSeconds, decoding / (mean.outputTokens + (1 - DECODE_WHILE_READING) * decoding * readSeconds))
}

export const slotCapacity = ({ slots, prefill, token }: SlotRules, { outputTokens }: MeanRequest): number =>
  (1000 * slots) / (prefill + token * (outputTokens - 1))
