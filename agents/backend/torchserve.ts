/**
 * TorchServe's metrics page and its management API. Only the latter knows the queue: the sum of every model's jobs, unknown when one model did not say.
 * Without it the mean number of waiting requests is told by how fast their waiting time adds up. Capacity is what the ready workers take at once.
 */
import { countOf, fieldsOf, listOf, parsedJson } from './json-page.ts'
import type { LoadReader } from './load-reader.ts'
import { growth, level, reading } from './reading.ts'

const ENDED = 'ts_inference_requests_total'
const WAITED_US = 'ts_queue_latency_microseconds'
const LATENCY_US = 'ts_inference_latency_microseconds'
const US_PER_S = 1e6

export const torchserve: LoadReader = {
  kind: 'torchserve',
  families: [ENDED, WAITED_US, LATENCY_US],
  recognise: (names) => names.has(ENDED) || names.has(WAITED_US) || names.has(LATENCY_US),
  read(page, bodies) {
    // One row for each version of a model.
    const versions = bodies.map((body) => listOf(parsedJson(body)).map(fieldsOf))
    const whole = versions.length > 0 && versions.every(({ length }) => length > 0)
    const told = whole ? versions.flat() : []
    return reading({
      queueDepth:
        level(
          total(told.map(({ jobQueueStatus }) => countOf(fieldsOf(jobQueueStatus).pendingRequests))),
          '/models jobQueueStatus.pendingRequests',
        ) ?? growth(page, [WAITED_US], US_PER_S),
      requestsPerSecond: growth(page, [ENDED]),
      capacity: level(total(told.map(taken)), '/models workers × batchSize'),
    })
  },
}

function taken({ workers, batchSize }: ReturnType<typeof fieldsOf>): number | undefined {
  const size = countOf(batchSize)
  return size === undefined ? undefined : size * listOf(workers).filter((worker) => fieldsOf(worker).status === 'READY').length
}

/** Unknown when one part is, or when there is none. */
const total = (parts: readonly (number | undefined)[]): number | undefined =>
  parts.length === 0
    ? undefined
    : parts.reduce((sum: number | undefined, part) => (sum === undefined || part === undefined ? undefined : sum + part), 0)
