/** Tells from what a port answers which inference server is behind it. Invariant: what fits no kind, or several, is none: no stranger is reported. */
import { fieldsOf, listOf, parsedJson } from '../backend/json-page.ts'
import type { ServerKind } from '../backend/kinds.ts'
import { recogniseKind } from '../backend/read-load.ts'

/** The pages that a port is asked for, in this order, until one tells. */
export const TELLING_PATHS = ['/v2', '/v1/models', '/info', '/-/healthz', '/ping', '/metrics', '/monitoring/prometheus/metrics'] as const
export type TellingPath = (typeof TELLING_PATHS)[number]

const OWNERS: Readonly<Record<string, ServerKind>> = { vllm: 'vllm', sglang: 'sglang', llamacpp: 'llama-cpp' }

/** `body` of an answer with 200. */
export function recognise(path: TellingPath, body: string): ServerKind | undefined {
  switch (path) {
    case '/v2':
      // Triton names itself; another server of the protocol is watched as one.
      return typeof fieldsOf(parsedJson(body)).name === 'string' && Array.isArray(fieldsOf(parsedJson(body)).extensions)
        ? 'triton'
        : undefined
    case '/v1/models': {
      const owners = listOf(fieldsOf(parsedJson(body)).data).map((row) => fieldsOf(row).owned_by)
      return OWNERS[String(owners[0])]
    }
    case '/info': {
      const { model_id, max_total_tokens } = fieldsOf(parsedJson(body))
      return typeof model_id === 'string' && typeof max_total_tokens === 'number' ? 'tgi' : undefined
    }
    case '/-/healthz':
      return body.trim() === 'success' ? 'ray-serve' : undefined
    case '/ping':
      return fieldsOf(parsedJson(body)).status === 'Healthy' ? 'torchserve' : undefined
    case '/metrics':
    case '/monitoring/prometheus/metrics':
      return recogniseKind(body)
    default:
      return path satisfies never
  }
}
