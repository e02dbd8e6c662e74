import { expect, test } from 'vitest'
import { changeLine, type NodeWhole, nodePage } from './admin-node.ts'

const AT = new Date(2026, 0, 2, 12, 3, 4, 120).getTime()
const change = { at_unix_ms: AT, node_id: 'gpu-a', endpoint_id: 'gpu-a/triton', from: 'READY', to: 'FAILED', reason: 'Xid 79 on GPU-1' }

test.each([
  ['of an endpoint', change, '2026-01-02 12:03:04.120  gpu-a/triton  READY → FAILED (Xid 79 on GPU-1)'],
  [
    'of a node, with nothing before',
    { ...change, endpoint_id: '', from: '', to: 'xid' },
    '2026-01-02 12:03:04.120  gpu-a  xid (Xid 79 on GPU-1)',
  ],
  ['without a reason', { ...change, reason: '' }, '2026-01-02 12:03:04.120  gpu-a/triton  READY → FAILED'],
  [
    'a gap',
    { ...change, at_unix_ms: 0, node_id: '', endpoint_id: '', from: '', to: '', reason: '9 changes were left out' },
    '-   (9 changes were left out)',
  ],
])('a change %s is one line', (_name, view, line) => {
  expect(changeLine(view).replace(/ +/g, ' ')).toBe(line.replace(/ +/g, ' '))
})

const NODE: NodeWhole = {
  node_id: 'gpu-a',
  zone: 'z1',
  intent: 'NODE_INTENT_SERVE',
  intent_reason: '',
  silent_ms: 120,
  freshness: 'FRESHNESS_FRESH',
  gpus: [
    {
      uuid: 'GPU-1',
      name: 'H100',
      state: 'GPU_STATE_FAILED',
      state_reason: 'Xid 79',
      utilization: 0.5,
      memory_used_bytes: 2 ** 30,
      memory_total_bytes: 80 * 2 ** 30,
    },
  ],
  endpoints: [
    {
      endpoint: { id: 'gpu-a/triton', address: '10.0.0.1:8001', state: 'ENDPOINT_STATE_FAILED', weight: 0, state_reason: 'no usable GPU' },
      load: null,
    },
  ],
  gpu_telemetry: 'GPU_TELEMETRY_OK',
  gpu_telemetry_reason: '',
  simulated: true,
  agent_version: '0.1.0',
  warnings: ['its clock is 60 min behind'],
  history: [change],
}

test('a node is told whole: facts, endpoints, weights, GPUs, warnings, and why', () => {
  const weights = [
    { endpoint_id: 'gpu-a/triton', weight: 0, state: 'ENDPOINT_STATE_FAILED', state_reason: '', factors: { capacity: 100, state: 0 } },
  ]
  const page = nodePage(NODE, weights, { control_plane: 'host-a (127.0.0.1:7401)', since_unix_ms: AT })
  for (const words of [
    'node           gpu-a (simulated)',
    'FAILED (no usable GPU)',
    'capacity 100 × state 0',
    'GPU-1  H100  FAILED (Xid 79)  50 %  -            1 of 80 GiB',
    '  its clock is 60 min behind',
    'READY → FAILED (Xid 79 on GPU-1)',
    'HISTORY as control plane host-a (127.0.0.1:7401) saw it, whole since 2026-01-02 12:03:04.120; each remembers its own\n',
  ])
    expect(page).toContain(words)
})

test('what there is nothing of is said to be none', () => {
  const page = nodePage({ ...NODE, gpus: [], endpoints: [], warnings: [], history: [] }, [], null)
  expect(page.match(/^ {2}none$/gm)).toHaveLength(5)
  expect(page).toContain('HISTORY\n')
})
