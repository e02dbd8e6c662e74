/**
 * Servers of a model of about eight billion parameters on GPUs as people mix them. The figures are of the right order and their ratios as published
 * throughputs have them; no GPU was measured for them. Slots are what an operator sets so that tokens still come at a readable pace: they follow speed
 * only roughly, as in life.
 */
import type { BatchRules } from './batch-server.ts'

export const GPU_KINDS = ['h200', 'h100', 'a100', 'l40s', 'a10'] as const
export type GpuKind = (typeof GPU_KINDS)[number]

const QUEUE_MAX = 256

const kind = (slots: number, kvTokens: number, prefillTokensPerSecond: number, stepMs: number, stepMsPerRequest: number): BatchRules => ({
  slots,
  kvTokens,
  prefillTokensPerSecond,
  stepMs,
  stepMsPerRequest,
  queueMax: QUEUE_MAX,
  cacheTokens: kvTokens / 2,
})

export const GPU_RULES: Readonly<Record<GpuKind, BatchRules>> = {
  h200: kind(80, 700_000, 24_000, 9.5, 0.18),
  h100: kind(64, 360_000, 22_000, 11, 0.22),
  a100: kind(40, 320_000, 10_000, 18, 0.35),
  l40s: kind(24, 110_000, 7_000, 32, 0.6),
  a10: kind(12, 40_000, 2_800, 45, 1.1),
}
