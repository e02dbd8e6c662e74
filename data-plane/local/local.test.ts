import { expect, test } from 'vitest'
import { ModelStatistics, type RepositoryIndexResponse } from '../../proto/gen/inference/grpc_service.ts'
import { mergeIndexes } from './merge-indexes.ts'
import { sumStatistics } from './sum-statistics.ts'

const index = (...rows: [name: string, state: string][]): RepositoryIndexResponse => ({
  models: rows.map(([name, state]) => ({ name, version: '1', state, reason: state === 'READY' ? '' : 'it fell' })),
})

test('an index has each model once, and one that is READY anywhere is READY', () => {
  const merged = mergeIndexes([index(['a', 'UNAVAILABLE'], ['b', 'READY']), index(['a', 'READY'], ['b', 'UNAVAILABLE'], ['c', 'READY'])])
  expect(merged.models.map((row) => `${row.name} ${row.state}`)).toEqual(['a READY', 'b READY', 'c READY'])
})

const statistics = (count: bigint, last: bigint): ModelStatistics =>
  ModelStatistics.fromPartial({
    name: 'm',
    version: '1',
    lastInference: last,
    inferenceCount: count,
    executionCount: count,
    inferenceStats: { success: { count, ns: 10n * count }, ...(count > 5n && { queue: { count: 1n, ns: 7n } }) },
    batchStats: [
      { batchSize: count > 5n ? 8n : 4n, computeInfer: { count, ns: 3n } },
      { batchSize: 1n, computeInfer: { count: 1n, ns: 1n } },
    ],
    responseStats: { '0': { success: { count, ns: 1n } } },
  })

test('statistics are summed by model and version; the last inference is the latest', () => {
  const { modelStats } = sumStatistics([
    { modelStats: [statistics(5n, 900n)] },
    { modelStats: [statistics(7n, 800n), { ...statistics(1n, 1n), name: 'other' }] },
  ])
  expect(modelStats.map((row) => row.name)).toEqual(['m', 'other'])
  const [sum] = modelStats
  expect([sum?.inferenceCount, sum?.lastInference, sum?.inferenceStats?.success, sum?.inferenceStats?.queue]).toEqual([
    12n,
    900n,
    { count: 12n, ns: 120n },
    { count: 1n, ns: 7n },
  ])
  expect(sum?.batchStats.map((row) => [row.batchSize, row.computeInfer?.count])).toEqual([
    [1n, 2n],
    [4n, 5n],
    [8n, 7n],
  ])
  expect(sum?.responseStats['0']?.success).toEqual({ count: 12n, ns: 2n })
})

test('one server’s statistics pass as they are', () => {
  const answer = { modelStats: [statistics(5n, 1n)] }
  expect(sumStatistics([answer])).toBe(answer)
})
