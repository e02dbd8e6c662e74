import { expect, test } from 'vitest'
import { planNodes, tritonAddress } from './up-plan.ts'

test.each([
  ['127.0.0.1:8001', { grpc: '127.0.0.1:8001', http: '127.0.0.1:8000', metrics: 'http://127.0.0.1:8002/metrics' }],
  ['gpu-a:9001:9100', { grpc: 'gpu-a:9001', http: 'gpu-a:9100', metrics: 'http://gpu-a:9002/metrics' }],
  ['[::1]:1:2:3', { grpc: '[::1]:1', http: '[::1]:2', metrics: 'http://[::1]:3/metrics' }],
])('%s names the three ports of a Triton', (text, address) => {
  expect(tritonAddress.parse(text)).toEqual(address)
})

test.each(['8001', 'host:', 'host:0', 'host:70000', 'host:1:2:3:4', 'host:1'])('%s is no address, and the message shows one', (text) => {
  expect(tritonAddress.safeParse(text).error?.issues[0]?.message).toContain('for example 127.0.0.1:8001')
})

const TRITON = { grpc: 'h:8001', http: 'h:8000', metrics: 'http://h:8002/metrics' }

test.each([
  ['three simulated nodes by default', undefined, [], ['sim-1', 'sim-2', 'sim-3']],
  ['as many as asked for', 1, [], ['sim-1']],
  ['a real server alone', undefined, [TRITON], ['triton-1']],
  ['real and simulated side by side when asked for', 1, [TRITON, TRITON], ['triton-1', 'triton-2', 'sim-1']],
] as const)('%s', (_promise, nodes, tritons, names) => {
  expect(planNodes(nodes, tritons).map((node) => node.name)).toEqual(names)
})
