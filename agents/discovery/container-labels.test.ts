import { expect, test } from 'vitest'
import { type Container, readContainer } from './container-labels.ts'

const container = (labels: Record<string, string>, more: Partial<Container> = {}): Container => ({ name: 'c1', labels, ...more })
const ports = [
  { container: 8001, host: 31_001 },
  { container: 8000, host: 31_000 },
  { container: 8002, host: 31_002 },
]

test.each<[string, Container, object | string]>([
  [
    'published ports are those of the host',
    container({ 'millrace.kind': 'triton', 'com.example': 'x' }, { ports }),
    { row: { name: 'c1', kind: 'triton', grpc: '127.0.0.1:31001', http: '127.0.0.1:31000', metrics: 'http://127.0.0.1:31002/metrics' } },
  ],
  [
    'a container on the network of the host has its own ports',
    container({ 'millrace.kind': 'vllm', 'millrace.port.http': '9000', 'millrace.models': 'a, b', 'millrace.gpus': '0,1' }),
    { row: { kind: 'vllm', grpc: undefined, http: '127.0.0.1:9000', models: ['a', 'b'], gpus: ['0', '1'] } },
  ],
  [
    'an address of its own, a name, a capacity and no probe are taken over',
    container({ 'millrace.name': 'left', 'millrace.capacity': '8', 'millrace.probe': 'off' }, { address: '172.17.0.2' }),
    { row: { name: 'left', grpc: '172.17.0.2:8001', capacity: 8, probe: { deep: false } } },
  ],
  ['a container without our labels is none of ours', container({ app: 'db' }), 'ignored'],
  ['one that is switched off is left alone', container({ 'millrace.kind': 'triton', 'millrace.enable': 'false' }), 'ignored'],
  [
    'a label that is not known is named',
    container({ 'millrace.kin': 'triton' }),
    { label: 'millrace.kin', problem: expect.stringMatching(/millrace\.kind/) },
  ],
  [
    'a kind that is not known is named',
    container({ 'millrace.kind': 'trition' }),
    { label: 'millrace.kind', problem: expect.stringMatching(/triton, vllm/) },
  ],
  ['a capacity is a number', container({ 'millrace.capacity': 'many' }), { label: 'millrace.capacity' }],
  ['a port is a number', container({ 'millrace.port.http': 'http' }), { label: 'millrace.port.http' }],
  [
    'a container none of whose ports is told is a mistake',
    container({ 'millrace.kind': 'tgi' }, { ports }),
    { label: 'millrace.kind', problem: 'none of its ports is a usual one of tgi: say which by millrace.port.http' },
  ],
])('%s', (_, one, expected) => {
  const read = readContainer(one)
  if (typeof expected === 'string') expect(read).toBe(expected)
  else expect(read).toMatchObject(expected)
})
