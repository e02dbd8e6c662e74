/**
 * Maps Triton's metrics page to a load. A family that is not on the page, or has no number that makes sense, leaves its part of the load unknown. Rates
 * are differences of counters over the time between two pages; a counter that fell was reset, and says nothing of the rate.
 */
import type { LoadVector } from '../../core/load-vector.ts'
import { type Millis, millis } from '../../core/units.ts'
import { parseMetrics, type Sample } from './prometheus-text.ts'

export type TritonPage = {
  readonly queueDepth: number | undefined
  readonly running: number | undefined
  readonly kvCacheUse: number | undefined
  /** Requests ended since the server started, well or not. */
  readonly ended: number | undefined
}

export type DatedPage = { readonly at: Millis; readonly page: TritonPage }

const PENDING = 'nv_inference_pending_request_count'
const SUCCEEDED = 'nv_inference_request_success'
const FAILED = 'nv_inference_request_failure'
const LLM_REQUESTS = 'nv_trt_llm_request_metrics'
const LLM_CACHE = 'nv_trt_llm_kv_cache_block_metrics'
const FAMILIES = new Set([PENDING, SUCCEEDED, FAILED, LLM_REQUESTS, LLM_CACHE])

/** Over a shorter span one request more or less would swing the rate. */
const RATE_SPAN = millis(1_000)
const PAGES_KEPT_MAX = 16

export function readTritonPage(text: string): TritonPage {
  const samples = parseMetrics(text, FAMILIES)
  const of = (name: string, label?: string, value?: string): number[] =>
    samples
      .filter((sample: Sample) => sample.name === name && (label === undefined || sample.labels[label] === value))
      .map((sample) => sample.value)
      .filter((number) => Number.isFinite(number) && number >= 0)
  // A request leaves Triton's queue when the TensorRT-LLM executor takes it, and may wait in that one's queue next: it is counted once in either.
  const queueDepth = sum([...of(PENDING), ...of(LLM_REQUESTS, 'request_type', 'waiting')])
  const fractions = of(LLM_CACHE, 'kv_cache_block_type', 'fraction').filter((fraction) => fraction <= 1)
  return {
    queueDepth,
    running: sum(of(LLM_REQUESTS, 'request_type', 'scheduled')) ?? sum(of(LLM_REQUESTS, 'request_type', 'active')),
    kvCacheUse: fractions.length === 0 ? undefined : Math.max(...fractions),
    ended: sum([...of(SUCCEEDED), ...of(FAILED)]),
  }
}

/** Newest last; keeps what the rate needs. */
export function withPage(pages: readonly DatedPage[], next: DatedPage): readonly DatedPage[] {
  const outdated = pages.findLastIndex((one) => next.at - one.at >= RATE_SPAN)
  return [...pages.slice(Math.max(outdated, 0)), next].slice(-PAGES_KEPT_MAX)
}

export function loadOf(pages: readonly DatedPage[]): LoadVector {
  const first = pages[0]
  const last = pages.at(-1)
  if (first === undefined || last === undefined) return {}
  const { queueDepth, running, kvCacheUse } = last.page
  const requestsPerSecond = rate(first, last)
  return {
    ...(queueDepth !== undefined && { queueDepth }),
    ...(running !== undefined && { running }),
    ...(kvCacheUse !== undefined && { kvCacheUse }),
    ...(requestsPerSecond !== undefined && { requestsPerSecond }),
  }
}

function rate(first: DatedPage, last: DatedPage): number | undefined {
  const span = last.at - first.at
  if (span < RATE_SPAN || first.page.ended === undefined || last.page.ended === undefined) return undefined
  const ended = last.page.ended - first.page.ended
  return ended < 0 ? undefined : (ended * 1000) / span
}

const sum = (numbers: readonly number[]): number | undefined =>
  numbers.length === 0 ? undefined : numbers.reduce((total, number) => total + number, 0)
