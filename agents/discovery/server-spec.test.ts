import { expect, test } from 'vitest'
import { KINDS } from '../backend/kinds.ts'
import { clashOf, type ServerRow, specOf, urlOf } from './server-spec.ts'

test.each<[string, ServerRow, object]>([
  [
    'of which nothing is said is a Triton at its own ports here',
    {},
    {
      name: 'triton',
      grpc: '127.0.0.1:8001',
      http: '127.0.0.1:8000',
      metricsUrl: 'http://127.0.0.1:8002/metrics',
      advertise: '127.0.0.1:8001',
    },
  ],
  [
    'of one address has its others on the same host',
    { grpc: '[fd00::1]:9001', name: 'left' },
    {
      name: 'left',
      grpc: '[fd00::1]:9001',
      http: '[fd00::1]:8000',
      metricsUrl: 'http://[fd00::1]:8002/metrics',
      advertise: '[fd00::1]:9001',
    },
  ],
  [
    'without gRPC is reached by HTTP',
    { kind: 'vllm' },
    { name: 'vllm', grpc: undefined, http: '127.0.0.1:8000', metricsUrl: 'http://127.0.0.1:8000/metrics', advertise: '127.0.0.1:8000' },
  ],
  [
    'with a gRPC of its own has it only when told',
    { kind: 'torchserve' },
    { grpc: undefined, management: '127.0.0.1:8081', metricsUrl: 'http://127.0.0.1:8082/metrics', advertise: '127.0.0.1:8080' },
  ],
  [
    'that draws its metrics port has none until told',
    { kind: 'ray-serve', grpc: 'h:9000' },
    { metricsUrl: undefined, advertise: 'h:9000' },
  ],
])('a server %s', (_, row, expected) => {
  expect(specOf(row)).toMatchObject(expected)
})

test('a page is asked at its door, with the model in its path where it has one', () => {
  expect(urlOf(specOf({}), KINDS.triton.health)).toBe('http://127.0.0.1:8000/v2/health/ready')
  expect(urlOf(specOf({ kind: 'tf-serving', http: 'h:1' }), KINDS['tf-serving'].health, 'a/b')).toBe('http://h:1/v1/models/a%2Fb')
  expect(urlOf(specOf({ kind: 'ray-serve' }), KINDS['ray-serve'].metrics)).toBeUndefined()
})

test('two servers share neither a name nor an address', () => {
  const clash = (...rows: ServerRow[]) => clashOf(rows.map(specOf))
  expect(clash({ name: 'a' }, { kind: 'sglang' })).toBeUndefined()
  expect(clash({ name: 'a' }, { kind: 'sglang', name: 'a' })).toMatchObject({ at: 1, field: 'name' })
  expect(clash({ name: 'a' }, { kind: 'vllm' })).toEqual({
    at: 1,
    field: 'http',
    problem: 'vllm and a would both be at 127.0.0.1:8000; say which is where',
  })
})
