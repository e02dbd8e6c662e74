import { expect, test } from 'vitest'
import { readConfig } from './config.ts'

const agent = (...argv: string[]) => readConfig(['--node', 'gpu-a', ...argv])

test('an agent without a server reports GPUs only', () => {
  expect(agent()).toMatchObject({ node: 'gpu-a', zone: 'default', nats: '127.0.0.1:4222', nvidiaSmi: 'nvidia-smi', server: undefined })
})

test("Triton's own ports stand beside its gRPC address when nothing else is said", () => {
  expect(agent('--server-grpc', '10.0.0.7:8001').server).toEqual({
    name: 'triton',
    grpc: '10.0.0.7:8001',
    http: '10.0.0.7:8000',
    metricsUrl: 'http://10.0.0.7:8002/metrics',
    advertise: '10.0.0.7:8001',
    models: undefined,
    gpus: undefined,
    capacity: undefined,
  })
})

test('lists have commas between', () => {
  expect(agent('--server-grpc', 'h:1', '--models', 'a, b,', '--gpus', 'GPU-1').server).toMatchObject({
    models: ['a', 'b'],
    gpus: ['GPU-1'],
  })
})

test.each([
  [['--node', 'a.b'], /--node "a\.b": wants letters/],
  [['--models', 'a'], /--models is about an inference server: say which by --server-grpc/],
  [['--server-http', '127.0.0.1:8000'], /--server-http is about an inference server/],
  [['--server-grpc', '8001'], /--server-grpc "8001": wants host:port/],
  [['--server-grpc', 'h:1', '--server-metrics', 'h:2'], /--server-metrics "h:2": wants a URL, for example http/],
  [['--server-grpc', 'h:1', '--models', ','], /--models ",": wants names/],
])('%j is refused with the cure', (argv, words) => {
  expect(() => agent(...argv)).toThrow(words)
})
