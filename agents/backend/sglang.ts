/**
 * SGLang's metrics page (its server writes one only with --enable-metrics). Each rank of a tensor or pipeline group repeats the same scheduler's numbers:
 * one of them counts, and only different schedulers (ranks of data, engines) add up. With prefill apart from decoding a request waits for its place
 * in one of two more queues; for its grammar to be compiled in another.
 */
import type { LoadReader } from './load-reader.ts'
import type { Page, Sample } from './prometheus-text.ts'
import { growth, highestRatio, reading, sum } from './reading.ts'

const QUEUED = 'sglang:num_queue_reqs'
const QUEUED_ELSEWHERE = [
  'sglang:num_grammar_queue_reqs',
  'sglang:num_prefill_prealloc_queue_reqs',
  'sglang:num_decode_prealloc_queue_reqs',
]
const RUNNING = 'sglang:num_running_reqs'
const CACHE = 'sglang:token_usage'
const TOKENS = 'sglang:generation_tokens_total'
const TOKENS_NOW = 'sglang:gen_throughput'
const ENDED = 'sglang:num_requests_total'
const SAME_SCHEDULER = ['tp_rank', 'pp_rank', 'moe_ep_rank']

export const sglang: LoadReader = {
  kind: 'sglang',
  families: [QUEUED, ...QUEUED_ELSEWHERE, RUNNING, CACHE, TOKENS, TOKENS_NOW, ENDED],
  recognise: (names) => names.has(RUNNING) && names.has(QUEUED),
  read(told) {
    const page = oncePerScheduler(told)
    const queued = sum(page, [QUEUED])
    return reading({
      queueDepth: queued && (sum(page, [QUEUED, ...QUEUED_ELSEWHERE]) ?? queued),
      running: sum(page, [RUNNING]),
      kvCacheUse: highestRatio(page, CACHE),
      tokensPerSecond: growth(page, [TOKENS]) ?? sum(page, [TOKENS_NOW]),
      requestsPerSecond: growth(page, [ENDED]),
    })
  },
}

function oncePerScheduler({ samples, left }: Page): Page {
  return { left, samples: new Map([...samples].map(([name, all]) => [name, distinct(all)])) }
}

/** Of samples that differ in their rank only, the highest: a rank that is behind has not counted yet. */
function distinct(samples: readonly Sample[]): readonly Sample[] {
  const best = new Map<string, Sample>()
  for (const sample of samples) {
    const labels = Object.fromEntries(Object.entries(sample.labels).filter(([label]) => !SAME_SCHEDULER.includes(label)))
    const key = JSON.stringify(Object.entries(labels).sort())
    const before = best.get(key)
    if (before === undefined || !(sample.value <= before.value)) best.set(key, { ...sample, labels })
  }
  return [...best.values()]
}
