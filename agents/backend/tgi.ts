/**
 * The metrics page of Text Generation Inference, and its /info, where it says how many requests it takes before it answers 429. Tokens are counted when
 * their request ends, so a rate of long answers comes in lumps.
 */
import { countOf, fieldsOf, parsedJson } from './json-page.ts'
import type { LoadReader } from './load-reader.ts'
import { growth, level, reading, sum } from './reading.ts'

const QUEUED = 'tgi_queue_size'
const BATCH = 'tgi_batch_current_size'
const TOKENS = 'tgi_request_generated_tokens_sum'
const SUCCEEDED = 'tgi_request_success'
const FAILED = 'tgi_request_failure'

export const tgi: LoadReader = {
  kind: 'tgi',
  families: [QUEUED, BATCH, TOKENS, SUCCEEDED, FAILED],
  recognise: (names) => names.has(QUEUED) || names.has(BATCH),
  read(page, bodies) {
    return reading({
      queueDepth: sum(page, [QUEUED]),
      running: sum(page, [BATCH]),
      tokensPerSecond: growth(page, [TOKENS]),
      requestsPerSecond: growth(page, [SUCCEEDED, FAILED]),
      capacity: level(countOf(fieldsOf(parsedJson(bodies[0] ?? '')).max_concurrent_requests), '/info max_concurrent_requests'),
    })
  },
}
