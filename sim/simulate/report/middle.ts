/** Several runs of one kind as one: of each measure the middle one. */
import type { Measures, Quantiles, Refusals } from './measures.ts'

/** Of an even number the lower of the two. What not every run measured is absent. */
export function middleOf(runs: readonly Measures[]): Measures {
  const middle = (of: (run: Measures) => number): number => runs.map(of).toSorted((a, b) => a - b)[(runs.length - 1) >> 1] as number
  const quantiles = (of: (run: Measures) => Quantiles | undefined): Quantiles | undefined =>
    runs.every((run) => of(run) !== undefined)
      ? { p50: middle((run) => of(run)?.p50 as number), p99: middle((run) => of(run)?.p99 as number) }
      : undefined
  const reasons = [...new Set(runs.flatMap(({ refusals }) => Object.keys(refusals)))] as (keyof Refusals)[]
  const [ttftMs, latencyMs] = [quantiles((run) => run.ttftMs), quantiles((run) => run.latencyMs)]
  return {
    requests: middle((run) => run.requests),
    ...(ttftMs !== undefined && { ttftMs }),
    ...(latencyMs !== undefined && { latencyMs }),
    goodShare: middle((run) => run.goodShare),
    goodPerSecond: middle((run) => run.goodPerSecond),
    refused: middle((run) => run.refused),
    refusals: Object.fromEntries(
      reasons.map((reason) => [reason, middle(({ refusals }) => refusals[reason] ?? 0)] as const).filter(([, count]) => count > 0),
    ),
    failed: middle((run) => run.failed),
    late: middle((run) => run.late),
    retries: middle((run) => run.retries),
  }
}
