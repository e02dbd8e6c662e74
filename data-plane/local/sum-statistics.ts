/** Statistics of a model over all servers: counts and times are summed, the last inference is the latest. */
import type {
  InferBatchStatistics,
  InferResponseStatistics,
  InferStatistics,
  ModelStatistics,
  ModelStatisticsResponse,
  StatisticDuration,
} from '../../proto/gen/inference/grpc_service.ts'

export function sumStatistics(answers: readonly ModelStatisticsResponse[]): ModelStatisticsResponse {
  if (answers.length === 1) return answers[0] as ModelStatisticsResponse
  const rows = new Map<string, ModelStatistics>()
  for (const row of answers.flatMap((answer) => answer.modelStats)) {
    const key = JSON.stringify([row.name, row.version])
    const earlier = rows.get(key)
    rows.set(key, earlier === undefined ? row : addModel(earlier, row))
  }
  return { modelStats: [...rows.values()] }
}

const later = (a: bigint, b: bigint): bigint => {
  if (a > b) return a
  return b
}

function addModel(a: ModelStatistics, b: ModelStatistics): ModelStatistics {
  return {
    name: a.name,
    version: a.version,
    lastInference: later(a.lastInference, b.lastInference),
    inferenceCount: a.inferenceCount + b.inferenceCount,
    executionCount: a.executionCount + b.executionCount,
    inferenceStats: addInfer(a.inferenceStats, b.inferenceStats),
    batchStats: addBatches(a.batchStats, b.batchStats),
    // Memory lies on each server by itself: the rows stand side by side.
    memoryUsage: [...a.memoryUsage, ...b.memoryUsage],
    responseStats: addResponses(a.responseStats, b.responseStats),
  }
}

function addDuration(a: StatisticDuration | undefined, b: StatisticDuration | undefined): StatisticDuration | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return { count: a.count + b.count, ns: a.ns + b.ns }
}

function addInfer(a: InferStatistics | undefined, b: InferStatistics | undefined): InferStatistics | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return {
    success: addDuration(a.success, b.success),
    fail: addDuration(a.fail, b.fail),
    queue: addDuration(a.queue, b.queue),
    computeInput: addDuration(a.computeInput, b.computeInput),
    computeInfer: addDuration(a.computeInfer, b.computeInfer),
    computeOutput: addDuration(a.computeOutput, b.computeOutput),
    cacheHit: addDuration(a.cacheHit, b.cacheHit),
    cacheMiss: addDuration(a.cacheMiss, b.cacheMiss),
  }
}

function addBatches(a: readonly InferBatchStatistics[], b: readonly InferBatchStatistics[]): InferBatchStatistics[] {
  const rows = new Map<bigint, InferBatchStatistics>()
  for (const row of [...a, ...b]) {
    const earlier = rows.get(row.batchSize)
    rows.set(
      row.batchSize,
      earlier === undefined
        ? row
        : {
            batchSize: row.batchSize,
            computeInput: addDuration(earlier.computeInput, row.computeInput),
            computeInfer: addDuration(earlier.computeInfer, row.computeInfer),
            computeOutput: addDuration(earlier.computeOutput, row.computeOutput),
          },
    )
  }
  return [...rows.values()].sort((x, y) => (x.batchSize < y.batchSize ? -1 : 1))
}

function addResponses(
  a: Readonly<Record<string, InferResponseStatistics>>,
  b: Readonly<Record<string, InferResponseStatistics>>,
): Record<string, InferResponseStatistics> {
  const sum: Record<string, InferResponseStatistics> = { ...a }
  for (const [key, row] of Object.entries(b)) {
    const earlier = sum[key]
    sum[key] =
      earlier === undefined
        ? row
        : {
            computeInfer: addDuration(earlier.computeInfer, row.computeInfer),
            computeOutput: addDuration(earlier.computeOutput, row.computeOutput),
            success: addDuration(earlier.success, row.success),
            fail: addDuration(earlier.fail, row.fail),
            emptyResponse: addDuration(earlier.emptyResponse, row.emptyResponse),
            cancel: addDuration(earlier.cancel, row.cancel),
          }
  }
  return sum
}
