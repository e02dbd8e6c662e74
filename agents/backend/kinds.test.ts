import { expect, test } from 'vitest'
import { Protocol } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { isServerKind, KINDS, protocolOf, SERVER_KINDS } from './kinds.ts'
import { readModelNames } from './model-names.ts'

const pages = SERVER_KINDS.flatMap((kind) => {
  const { health, metrics, load, models } = KINDS[kind]
  return [health, metrics, load, models.from === 'page' ? models : undefined].flatMap((page) => (page ? [[kind, page] as const] : []))
})

test.each(pages)('%s: a page has a path, and a port or an owner who tells it', (kind, { door, path }) => {
  expect(path).toMatch(/^\//)
  if (KINDS[kind].ports[door] === undefined) expect([kind, door]).toEqual(['ray-serve', 'metrics'])
})

test.each(SERVER_KINDS)('%s has a gRPC port exactly when proxies can speak to it', (kind) => {
  expect(KINDS[kind].ports.grpc === undefined).toBe(KINDS[kind].grpc === undefined)
  expect(protocolOf(kind, false)).toBe(Protocol.PROTOCOL_HTTP)
})

test('only Triton speaks KServe, others their own gRPC or HTTP alone', () => {
  expect(SERVER_KINDS.filter((kind) => protocolOf(kind, true) === Protocol.PROTOCOL_KSERVE_GRPC)).toEqual(['triton'])
  expect(SERVER_KINDS.filter((kind) => protocolOf(kind, true) === Protocol.PROTOCOL_HTTP)).toEqual(['vllm', 'sglang', 'tgi', 'llama-cpp'])
  expect(['vllm', 'torch', ''].map(isServerKind)).toEqual([true, false, false])
})

test.each<[(typeof SERVER_KINDS)[number], string, readonly string[] | undefined]>([
  ['vllm', '{"object":"list","data":[{"id":"b","object":"model"},{"id":"a"},{"id":"b"}]}', ['a', 'b']],
  ['vllm', '{"data":[{"id":"base","parent":null},{"id":"fr-lora","parent":"base","root":"/loras/fr"}]}', ['base', 'fr-lora']],
  ['llama-cpp', '{"data":[{"id":"tiny"},{"id":7},{}]}', ['tiny']],
  ['sglang', '{"data":[]}', []],
  ['tgi', '{"model_id":"bigscience/bloom-560m","max_concurrent_requests":128}', ['bigscience/bloom-560m']],
  ['torchserve', '{"models":[{"modelName":"resnet","modelUrl":"resnet.mar"}],"nextPageToken":"1"}', ['resnet']],
  ['ray-serve', '{"/":"default","/llm":"llm"}', ['default', 'llm']],
  ['vllm', '{"error":"no"}', undefined],
  ['tgi', '[]', undefined],
  ['torchserve', '{"models":"resnet"}', undefined],
  ['ray-serve', 'Not Found', undefined],
  ['triton', '[]', undefined],
])('%s serves what its page lists: %s', (kind, body, names) => {
  expect(readModelNames(kind, body)).toEqual(names)
})

test.each([
  ['AVAILABLE', true],
  ['LOADING', false],
  ['END', false],
])('a model that TensorFlow Serving calls %s is ready: %s', (state, ready) => {
  const body = JSON.stringify({
    model_version_status: [
      { version: '1', state: 'END' },
      { version: '2', state },
    ],
  })
  expect(KINDS['tf-serving'].health.ready?.(body)).toBe(ready)
})

test('what is no word on a model is not ready', () => {
  expect(['', '[]', '{"model_version_status":{}}', 'null'].map((body) => KINDS['tf-serving'].health.ready?.(body))).toEqual(
    Array(4).fill(false),
  )
})
