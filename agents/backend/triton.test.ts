import { expect, test } from 'vitest'
import { millis } from '../../core/units.ts'
import { type DatedPage, loadOf, readTritonPage, withPage } from './triton.ts'

const PAGE = `# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
nv_inference_request_success{model="llm",version="1"} 40
nv_inference_request_success{model="echo",version="1"} 2
nv_inference_request_failure{model="llm",reason="REJECTED",version="1"} 3
nv_inference_request_failure{model="llm",reason="OTHER",version="1"} 0
nv_inference_pending_request_count{model="llm",version="1"} 5
nv_inference_pending_request_count{model="echo",version="1"} 1
nv_gpu_utilization{gpu_uuid="GPU-1"} 0.5
`
const LLM = `${PAGE}
nv_trt_llm_request_metrics{model="llm",request_type="waiting",version="1"} 4
nv_trt_llm_request_metrics{model="llm",request_type="scheduled",version="1"} 12
nv_trt_llm_request_metrics{model="llm",request_type="active",version="1"} 16
nv_trt_llm_request_metrics{model="llm",request_type="max",version="1"} 512
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",model="llm",version="1"} 0.75
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="used",model="llm",version="1"} 750
`
const at = (when: number, text: string): DatedPage => ({ at: millis(when), page: readTritonPage(text) })
const fold = (...pages: DatedPage[]): readonly DatedPage[] => pages.reduce<readonly DatedPage[]>(withPage, [])

test('the queue is the sum over models, and what the page does not tell stays unknown', () => {
  expect(loadOf(fold(at(0, PAGE)))).toEqual({ queueDepth: 6 })
})

test('TensorRT-LLM adds its own queue, what runs and the cache', () => {
  expect(loadOf(fold(at(0, LLM)))).toEqual({ queueDepth: 10, running: 12, kvCacheUse: 0.75 })
})

test('an idle server says zero, an empty page says nothing', () => {
  expect(loadOf(fold(at(0, 'nv_inference_pending_request_count{model="llm",version="1"} 0')))).toEqual({ queueDepth: 0 })
  expect(loadOf(fold(at(0, '')))).toEqual({})
  expect(loadOf([])).toEqual({})
})

test.each(['NaN', '-1', '+Inf'])('a queue of %s is unknown', (value) => {
  expect(loadOf(fold(at(0, `nv_inference_pending_request_count{model="llm",version="1"} ${value}`)))).toEqual({})
})

const ended = (count: number): string => `nv_inference_request_success{model="llm",version="1"} ${count}`

test('requests per second are counted over at least a second, refused ones too', () => {
  const pages = fold(at(0, ended(100)), at(500, ended(120)))
  expect(loadOf(pages)).toEqual({})
  expect(loadOf(withPage(pages, at(1_250, `${ended(140)}\nnv_inference_request_failure{model="llm",version="1"} 10`)))).toEqual({
    requestsPerSecond: 40,
  })
})

test('the rate follows the last second and forgets what was before', () => {
  const pages = [0, 250, 500, 750, 1_000, 1_250, 1_500, 1_750, 2_000].map((when) => at(when, ended(when < 1_000 ? 0 : when - 1_000)))
  expect(loadOf(fold(...pages))).toEqual({ requestsPerSecond: 1_000 })
})

test('a server that started again has no rate until a second after', () => {
  const pages = fold(at(0, ended(1_000)), at(1_000, ended(5)))
  expect(loadOf(pages)).toEqual({})
  expect(loadOf(withPage(pages, at(2_000, ended(15))))).toEqual({ requestsPerSecond: 10 })
})

test('the pages kept are bounded, however fast they come', () => {
  expect(fold(...Array.from({ length: 500 }, (_, index) => at(index, PAGE))).length).toBeLessThan(32)
})
