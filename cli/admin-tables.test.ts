import { expect, test } from 'vitest'
import { gpuSummary, type NodeView, nodesTable, table, weightsTable } from './admin-tables.ts'

const NODE: NodeView = {
  node_id: 'gpu-a',
  zone: 'z1',
  intent: 'NODE_INTENT_SERVE',
  intent_reason: '',
  silent_ms: 120,
  freshness: 'FRESHNESS_FRESH',
  gpus: [],
  endpoints: [],
  gpu_telemetry: 'GPU_TELEMETRY_OK',
  gpu_telemetry_reason: '',
  simulated: false,
}
const ENDPOINT = { id: 'gpu-a/triton', address: '10.0.0.1:8001', state: 'ENDPOINT_STATE_READY', weight: 100, state_reason: '' }
const GPU = { uuid: 'GPU-1', name: 'H100', state: 'GPU_STATE_OK', state_reason: '' }

test('columns are as wide as their widest cell', () => {
  expect(table(['A', 'LONG'], [['wide', 'x'], ['y']])).toBe('A     LONG\nwide  x\ny\n')
})

test('a node without an endpoint still has its row, and what is simulated says so', () => {
  const [, row] = nodesTable([{ ...NODE, simulated: true }]).split('\n')
  expect(row).toMatch(/^gpu-a \(simulated\) +z1 +SERVE +- +- +- +- +- +OK +FRESH +120 ms$/)
})

test('unknown load is a dash and zero is a zero', () => {
  const text = nodesTable([
    {
      ...NODE,
      endpoints: [
        { endpoint: ENDPOINT, load: { queue_depth: 0 } },
        { endpoint: { ...ENDPOINT, id: 'gpu-a/x' }, load: null },
      ],
    },
  ])
  expect(text.split('\n')[1]).toMatch(/READY +0 +-/)
  expect(text.split('\n')[2]).toMatch(/READY +- +-/)
})

test('an intent and a state show their reasons', () => {
  const failed = { ...ENDPOINT, state: 'ENDPOINT_STATE_FAILED', state_reason: 'does not answer' }
  const text = nodesTable([{ ...NODE, intent: 'NODE_INTENT_DRAIN', intent_reason: 'new driver', endpoints: [{ endpoint: failed }] }])
  expect(text).toContain('DRAIN (new driver)')
  expect(text).toContain('FAILED (does not answer)')
})

test.each([
  [
    'the busiest and the hottest stand for all',
    {
      gpus: [
        { ...GPU, utilization: 0.2, temperature_celsius: 61 },
        { ...GPU, utilization: 0.87, temperature_celsius: 40 },
      ],
    },
    '2 × H100, 87 %, 61 °C',
  ],
  ['what no GPU tells is left out', { gpus: [GPU] }, '1 × H100'],
  ['failed GPUs are counted', { gpus: [GPU, { ...GPU, state: 'GPU_STATE_FAILED' }] }, '2 × H100, 1 FAILED'],
  ['no GPUs, and why', { gpu_telemetry: 'GPU_TELEMETRY_NO_GPU', gpu_telemetry_reason: 'no nvidia-smi' }, 'NO_GPU (no nvidia-smi)'],
])('%s', (_promise, node, summary) => {
  expect(gpuSummary({ ...NODE, ...node })).toBe(summary)
})

test('weights come with the factors whose product they are, in order of their names', () => {
  const weight = (endpoint_id: string) => ({
    endpoint_id,
    weight: 40,
    state: 'ENDPOINT_STATE_READY',
    state_reason: '',
    factors: { capacity: 100, 'slow start': 0.4 },
  })
  const lines = weightsTable([weight('b/x'), weight('a/x')]).split('\n')
  expect(lines.slice(1, 3).map((line) => line.split(' ')[0])).toEqual(['a/x', 'b/x'])
  expect(lines[1]).toContain('capacity 100 × slow start 0.4')
})
