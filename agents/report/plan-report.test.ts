import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { EndpointHealth, EndpointReport, GpuReport, GpuState, GpuTelemetry } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { changedSince, doubted, planReport, type Sample, type Sent } from './plan-report.ts'

const endpoint = (queueDepth: number | undefined, more: Partial<EndpointReport> = {}): EndpointReport =>
  EndpointReport.fromPartial({ id: 'gpu-a/triton', health: EndpointHealth.ENDPOINT_HEALTH_READY, load: { queueDepth }, ...more })
const gpu = (uuid: string, more: Partial<GpuReport> = {}): GpuReport =>
  GpuReport.fromPartial({ uuid, state: GpuState.GPU_STATE_OK, ...more })
const sample = (more: Partial<Sample> = {}): Sample => ({
  gpuTelemetry: GpuTelemetry.GPU_TELEMETRY_OK,
  gpuTelemetryReason: '',
  localDrain: false,
  localDrainReason: '',
  gpus: [gpu('GPU-1'), gpu('GPU-2')],
  endpoints: [endpoint(4)],
  host: undefined,
  xids: [],
  ...more,
})
const sentAt = (at: number, what = sample(), fullAt = 0): Sent => ({
  at: millis(at),
  fullBy: millis(fullAt + limits.fullReportPeriod),
  sample: what,
})
const plan = (sent: Sent | undefined, what: Sample, now: number) => planReport(sent, what, millis(now))

test('the first report is full', () => {
  expect(plan(undefined, sample(), 0)).toBe('full')
})

test('an unchanged sample waits for the period and then goes as a heartbeat', () => {
  expect(plan(sentAt(0), sample(), 250)).toBe('nothing')
  expect(plan(sentAt(0), sample(), 500)).toBe('delta')
  expect(changedSince(sample(), sample())).toEqual({ gpus: [], endpoints: [] })
})

test('a timer that is a little early does not make a report late', () => {
  expect(plan(sentAt(0), sample(), 497)).toBe('delta')
})

test('a full report goes every full period', () => {
  expect(plan(sentAt(9_750), sample(), limits.fullReportPeriod)).toBe('full')
})

test.each<[string, Partial<Sample>]>([
  ['the health of an endpoint', { endpoints: [endpoint(4, { health: EndpointHealth.ENDPOINT_HEALTH_FAILED })] }],
  ['what an endpoint serves', { endpoints: [endpoint(4, { models: ['llm'] })] }],
  ['the state of a GPU', { gpus: [gpu('GPU-1'), gpu('GPU-2', { state: GpuState.GPU_STATE_FAILED })] }],
  ["the host owner's wish", { localDrain: true, localDrainReason: 'fans' }],
  ['the telemetry as a whole', { gpuTelemetry: GpuTelemetry.GPU_TELEMETRY_FAILED }],
])('%s goes at once when it changes', (_, change) => {
  expect(plan(sentAt(0), sample(change), 1)).toBe('delta')
})

test.each<[string, Partial<Sample>]>([
  ['a GPU that went', { gpus: [gpu('GPU-1')] }],
  ['an endpoint that went', { endpoints: [] }],
  ['an endpoint that came', { endpoints: [endpoint(4), endpoint(4, { id: 'gpu-a/vllm' })] }],
])('%s makes the report full, because only that can say so', (_, change) => {
  expect(plan(sentAt(0), sample(change), 1)).toBe('full')
})

test.each<[number | undefined, number | undefined, 'delta' | 'nothing']>([
  [4, 5, 'nothing'],
  [4, 6, 'delta'],
  [4, 2, 'delta'],
  [100, 120, 'nothing'],
  [100, 125, 'delta'],
  [0, 1, 'delta'],
  [1, 0, 'delta'],
  [undefined, 0, 'delta'],
  [0, undefined, 'delta'],
  [undefined, undefined, 'nothing'],
])('a queue from %s to %s: %s before the period ends', (before, now, expected) => {
  expect(plan(sentAt(0, sample({ endpoints: [endpoint(before)] })), sample({ endpoints: [endpoint(now)] }), 250)).toBe(expected)
})

test('a delta carries what changed, whole, and a probe latency alone is no change', () => {
  const before = sample({ endpoints: [endpoint(4, { probeLatencyMs: 1 })] })
  const busy = gpu('GPU-2', { utilization: 0.5 })
  expect(changedSince(before, sample({ gpus: [gpu('GPU-1'), busy], endpoints: [endpoint(4, { probeLatencyMs: 2 })] }))).toEqual({
    gpus: [busy],
    endpoints: [],
  })
  const loaded = endpoint(5)
  expect(changedSince(before, sample({ endpoints: [loaded] })).endpoints).toEqual([loaded])
  const renamed = endpoint(4, { models: ['llm'] })
  expect(changedSince(before, sample({ endpoints: [renamed] })).endpoints).toEqual([renamed])
})

test('after a break the next report carries every endpoint, and the GPUs that are not well', () => {
  const what = sample({ gpus: [gpu('GPU-1'), gpu('GPU-2', { state: GpuState.GPU_STATE_FAILED })] })
  expect(plan(sentAt(0, doubted(what)), what, 1)).toBe('delta')
  const { gpus, endpoints } = changedSince(doubted(what), what)
  expect([gpus.map(({ uuid }) => uuid), endpoints]).toEqual([['GPU-2'], what.endpoints])
})
