/**
 * vLLM's metrics page, of its first engine and of its second: the cache's use has a new name in the second, and requests swapped out to the host's memory
 * exist in the first only. They wait. Each `engine` of a server with several counts as a model does.
 */
import type { LoadReader } from './load-reader.ts'
import { growth, highestRatio, reading, sum } from './reading.ts'

const WAITING = 'vllm:num_requests_waiting'
const SWAPPED = 'vllm:num_requests_swapped'
const RUNNING = 'vllm:num_requests_running'
const CACHE = 'vllm:kv_cache_usage_perc'
const CACHE_BEFORE = 'vllm:gpu_cache_usage_perc'
const TOKENS = 'vllm:generation_tokens_total'
const TOKENS_BEFORE = 'vllm:avg_generation_throughput_toks_per_s'
const ENDED = 'vllm:request_success_total'
const TRITON = 'nv_inference_request_success'

export const vllm: LoadReader = {
  kind: 'vllm',
  families: [WAITING, SWAPPED, RUNNING, CACHE, CACHE_BEFORE, TOKENS, TOKENS_BEFORE, ENDED],
  // vLLM as a backend of Triton writes onto Triton's page, and Triton is what is spoken to.
  recognise: (names) => names.has(RUNNING) && names.has(WAITING) && !names.has(TRITON),
  read(page) {
    const waiting = sum(page, [WAITING])
    return reading({
      queueDepth: waiting && (sum(page, [WAITING, SWAPPED]) ?? waiting),
      running: sum(page, [RUNNING]),
      kvCacheUse: highestRatio(page, CACHE) ?? highestRatio(page, CACHE_BEFORE),
      tokensPerSecond: growth(page, [TOKENS]) ?? sum(page, [TOKENS_BEFORE]),
      requestsPerSecond: growth(page, [ENDED]),
    })
  },
}
