/**
 * TensorFlow Serving's metrics page (its server writes one only with a monitoring configuration). It has no gauges of its queue: the mean number of requests
 * that wait, and that run, is told by how fast the time they spend so adds up, which is known as they leave.
 */
import type { LoadReader } from './load-reader.ts'
import { growth, reading } from './reading.ts'

const ENDED = ':tensorflow:serving:request_count'
const WAITED_US = ':tensorflow:serving:batching_session:queuing_latency_sum'
/** Of its newer runtime. */
const WAITED_TFRT_US = ':tensorflow:serving:saved_model_with_batching:queuing_latency_sum'
const RAN_US = ':tensorflow:serving:runtime_latency_sum'
const US_PER_S = 1e6

export const tfServing: LoadReader = {
  kind: 'tf-serving',
  families: [ENDED, WAITED_US, WAITED_TFRT_US, RAN_US],
  recognise: (names) => [ENDED, WAITED_US, WAITED_TFRT_US, RAN_US].some((name) => names.has(name)),
  read(page) {
    return reading({
      queueDepth: growth(page, [WAITED_US, WAITED_TFRT_US], US_PER_S),
      running: growth(page, [RAN_US], US_PER_S),
      requestsPerSecond: growth(page, [ENDED]),
    })
  },
}
