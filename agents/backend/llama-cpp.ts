/** The metrics page of llama.cpp's server (written only with --metrics), and its /props, where it says how many slots it has. Ended requests it does not count. */
import { countOf, fieldsOf, parsedJson } from './json-page.ts'
import type { LoadReader } from './load-reader.ts'
import { growth, highestRatio, level, reading, sum } from './reading.ts'

const DEFERRED = 'llamacpp:requests_deferred'
const PROCESSING = 'llamacpp:requests_processing'
/** Older servers only. */
const CACHE = 'llamacpp:kv_cache_usage_ratio'
const TOKENS = 'llamacpp:tokens_predicted_total'

export const llamaCpp: LoadReader = {
  kind: 'llama-cpp',
  families: [DEFERRED, PROCESSING, CACHE, TOKENS],
  recognise: (names) => names.has(PROCESSING) || names.has(DEFERRED),
  read(page, bodies) {
    return reading({
      queueDepth: sum(page, [DEFERRED]),
      running: sum(page, [PROCESSING]),
      kvCacheUse: highestRatio(page, CACHE),
      tokensPerSecond: growth(page, [TOKENS]),
      capacity: level(countOf(fieldsOf(parsedJson(bodies[0] ?? '')).total_slots), '/props total_slots'),
    })
  },
}
