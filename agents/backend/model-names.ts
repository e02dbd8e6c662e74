/** Reads from a server's page which models it serves. Undefined when the page is not what the kind answers; nothing throws. */
import { limits } from '../../core/limits.ts'
import { fieldsOf, listOf, parsedJson } from './json-page.ts'
import type { ServerKind } from './kinds.ts'

/** Sorted, each once, bounded. */
export function readModelNames(kind: ServerKind, body: string): readonly string[] | undefined {
  const names = namesOn(kind, parsedJson(body))?.filter((name): name is string => typeof name === 'string' && name !== '')
  return names && [...new Set(names)].sort().slice(0, limits.modelsPerEndpointMax)
}

function namesOn(kind: ServerKind, page: unknown): readonly unknown[] | undefined {
  switch (kind) {
    case 'vllm':
    case 'sglang':
    case 'llama-cpp':
      return column(fieldsOf(page).data, 'id')
    case 'torchserve':
      return column(fieldsOf(page).models, 'modelName')
    case 'tgi': {
      const model = fieldsOf(page).model_id
      return model === undefined ? undefined : [model]
    }
    case 'ray-serve':
      // A prefix of the path → the application behind it.
      return typeof page === 'object' && page !== null && !Array.isArray(page) ? Object.values(page) : undefined
    case 'triton':
    case 'tf-serving':
      return undefined
    default:
      return kind satisfies never
  }
}

const column = (rows: unknown, name: string): readonly unknown[] | undefined =>
  Array.isArray(rows) ? listOf(rows).map((row) => fieldsOf(row)[name]) : undefined
