/**
 * Triton's metrics page. A request leaves Triton's queue when the TensorRT-LLM executor takes it and may wait in that one's queue next: it is counted
 * once in either. Of an ensemble its parts are queued, never the ensemble itself. Refused requests have ended too. A Python backend ends a decoupled request,
 * for Triton's page, when it has taken it: what it is still answering is on no page.
 */
import type { LoadReader } from './load-reader.ts'
import { growth, highestRatio, reading, sum, together } from './reading.ts'

const PENDING = 'nv_inference_pending_request_count'
const SUCCEEDED = 'nv_inference_request_success'
const FAILED = 'nv_inference_request_failure'
const LLM_REQUESTS = 'nv_trt_llm_request_metrics'
const LLM_CACHE = 'nv_trt_llm_kv_cache_block_metrics'
/** Of its backend for vLLM, which writes onto Triton's page. */
const VLLM_TOKENS = 'vllm:generation_tokens_total'

const ofRequests = (type: string) => ({ request_type: type })

export const triton: LoadReader = {
  kind: 'triton',
  families: [PENDING, SUCCEEDED, FAILED, LLM_REQUESTS, LLM_CACHE, VLLM_TOKENS],
  recognise: (names) => names.has(SUCCEEDED) || names.has(PENDING) || names.has(LLM_REQUESTS),
  read(page) {
    return reading({
      queueDepth: together(sum(page, [PENDING]), sum(page, [LLM_REQUESTS], ofRequests('waiting'))),
      running: sum(page, [LLM_REQUESTS], ofRequests('scheduled')) ?? sum(page, [LLM_REQUESTS], ofRequests('active')),
      kvCacheUse: highestRatio(page, LLM_CACHE, { kv_cache_block_type: 'fraction' }),
      tokensPerSecond: growth(page, [VLLM_TOKENS]),
      requestsPerSecond: growth(page, [SUCCEEDED, FAILED]),
      capacity: sum(page, [LLM_REQUESTS], ofRequests('max')),
    })
  },
}
