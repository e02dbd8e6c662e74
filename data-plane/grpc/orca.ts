/**
 * The load that a server tells in the trailers of an answer (ORCA; gRPC A51 in binary, Envoy's text and JSON forms): the youngest word there is of it.
 * It is read, and goes on to the client as it came. What is not a plain finite number ≥ 0 spoils the whole report; a name that we do not know is passed over.
 */
import type { LoadVector } from '../../core/load-vector.ts'
import { OrcaLoadReport } from '../../proto/gen/xds/data/orca/v3/orca_load_report.ts'
import { type HeaderField, valueText } from '../http2/header-field.ts'
import { roleOf } from './field-role.ts'

const BINARY = 'endpoint-load-metrics-bin'
/** Longer than any report that is worth a server's time. */
const LENGTH_MAX = 4_096
const NAMED = 'named_metrics.'

type Field = 'queueDepth' | 'running' | 'kvCacheUse' | 'tokensPerSecond' | 'requestsPerSecond'

/** Under which names the servers tell what we route by; vLLM, SGLang, TensorRT-LLM under Triton, and the report's own rate. */
const FIELDS: Readonly<Record<string, Field>> = {
  num_requests_waiting: 'queueDepth',
  num_queue_reqs: 'queueDepth',
  queue_depth: 'queueDepth',
  num_requests_running: 'running',
  num_running_reqs: 'running',
  kv_cache_usage_perc: 'kvCacheUse',
  gpu_cache_usage_perc: 'kvCacheUse',
  kv_cache_utilization: 'kvCacheUse',
  token_usage: 'kvCacheUse',
  gen_throughput: 'tokensPerSecond',
  rps_fractional: 'requestsPerSecond',
}

/** Undefined: the server told nothing. */
export function readOrca(fields: readonly HeaderField[]): LoadVector | 'unreadable' | undefined {
  for (const field of fields)
    if (roleOf(field) === 'load') {
      if (field.valueEnd - field.valueAt > LENGTH_MAX) return 'unreadable'
      const metrics = field.name === BINARY ? ofBinary(valueText(field)) : ofWords(valueText(field))
      return metrics === undefined ? 'unreadable' : loadOf(metrics)
    }
  return undefined
}

type Metrics = Iterable<readonly [name: string, value: unknown]>

function loadOf(metrics: Metrics): LoadVector | 'unreadable' {
  const load: { [F in Field]?: number } = {}
  for (const [name, value] of metrics) {
    const field = Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined
    if (field === undefined) continue
    if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) return 'unreadable'
    // In a report zero is how an absent rate is written.
    if (field === 'requestsPerSecond' && value === 0) continue
    load[field] = field === 'kvCacheUse' ? Math.min(value, 1) : value
  }
  return load
}

function ofBinary(text: string): Metrics | undefined {
  try {
    const { namedMetrics, utilization, rpsFractional } = OrcaLoadReport.decode(
      Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)),
    )
    return [['rps_fractional', rpsFractional], ...Object.entries(utilization), ...Object.entries(namedMetrics)]
  } catch {
    return undefined
  }
}

function ofWords(text: string): Metrics | undefined {
  if (text.startsWith('BIN ')) return ofBinary(text.slice(4))
  if (text.startsWith('JSON ')) return ofJson(text.slice(5))
  if (!text.startsWith('TEXT ')) return undefined
  const pairs = text
    .slice(5)
    .split(',')
    .map((pair) => /^\s*([^=:]+?)\s*[=:]\s*(\S+)\s*$/.exec(pair))
  if (pairs.some((pair) => pair === null)) return undefined
  return pairs.map((pair) => [withoutPrefix(pair?.[1] ?? ''), Number(pair?.[2])] as const)
}

function ofJson(text: string): Metrics | undefined {
  let report: unknown
  try {
    report = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof report !== 'object' || report === null) return undefined
  const named = 'named_metrics' in report ? report.named_metrics : 'namedMetrics' in report ? report.namedMetrics : {}
  return [...Object.entries(report), ...(typeof named === 'object' && named !== null ? Object.entries(named) : [])]
}

const withoutPrefix = (name: string): string => (name.startsWith(NAMED) ? name.slice(NAMED.length) : name)
