import { expect, test } from 'vitest'
import { recognise, TELLING_PATHS, type TellingPath } from './recognise-server.ts'

test.each<[TellingPath, string, string | undefined]>([
  ['/v2', '{"name":"triton","version":"2.51.0","extensions":["classification"]}', 'triton'],
  ['/v2', '{"name":"something"}', undefined],
  ['/v1/models', '{"object":"list","data":[{"id":"m","object":"model","owned_by":"vllm"}]}', 'vllm'],
  ['/v1/models', '{"data":[{"id":"m","owned_by":"sglang"}]}', 'sglang'],
  ['/v1/models', '{"data":[{"id":"m","owned_by":"llamacpp"}]}', 'llama-cpp'],
  ['/v1/models', '{"data":[{"id":"m","owned_by":"openai"}]}', undefined],
  ['/info', '{"model_id":"x","max_total_tokens":2048}', 'tgi'],
  ['/info', '{"version":"1"}', undefined],
  ['/-/healthz', 'success', 'ray-serve'],
  ['/ping', '{ "status": "Healthy" }', 'torchserve'],
  ['/ping', 'pong', undefined],
  ['/metrics', '# TYPE nv_inference_request_success counter\nnv_inference_request_success{model="a",version="1"} 0\n', 'triton'],
  ['/metrics', 'go_goroutines 7\n', undefined],
])('%s %s: %s', (path, body, kind) => {
  expect(recognise(path, body)).toBe(kind)
})

test('a page of anything else is nobody', () => {
  for (const path of TELLING_PATHS)
    for (const body of ['', '<html></html>', 'null', '[]', '{"data":{}}', '"text"', '{"name":1,"extensions":2}'])
      expect(recognise(path, body)).toBeUndefined()
})
