import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { GpuReport, NodeReport, type Protocol, SealedReport, XidAction } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { endpoint, gpu, report } from '../testing/reports.ts'
import { isMalformed, parseReport } from './parse-report.ts'

const bytes = (fields: Parameters<typeof report>[2]): Uint8Array => NodeReport.encode(report('a', 1, fields)).finish()
const many = (count: number): readonly number[] => Array.from({ length: count }, (_, at) => at)

test('a report that is well-formed comes out as it was said', () => {
  const result = parseReport(bytes({ gpus: [gpu('GPU-a')] }), 'a')
  expect(result).toMatchObject({ nodeId: 'a', zone: 'z1', gpus: [{ uuid: 'GPU-a' }], endpoints: [{ id: 'a/triton' }] })
})

test.each([
  ['bytes that are no report', new Uint8Array([0x0a, 0xff]), 'not-a-report'],
  ['more bytes than a report may have', new Uint8Array(limits.reportBytesMax + 1), 'too-large'],
  ['a report of another node than its subject says', bytes({ nodeId: 'b' }), 'other-node'],
  ['no boot id', bytes({ bootId: '' }), 'bad-field'],
  ['no interval', bytes({ intervalMs: 0 }), 'bad-field'],
  ['an interval of a day', bytes({ intervalMs: 86_400_000 }), 'bad-field'],
  ['an endpoint of another node', bytes({ endpoints: [endpoint('b')] }), 'bad-field'],
  ['an address that is none', bytes({ endpoints: [endpoint('a', { address: 'somewhere' })] }), 'bad-field'],
  ['a model without name', bytes({ endpoints: [endpoint('a', { models: [''] })] }), 'bad-field'],
  ['a protocol that nobody knows', bytes({ endpoints: [endpoint('a', { protocol: 99 as Protocol })] }), 'bad-field'],
  ['a sequence that nobody counts to', bytes({ sequence: 2n ** 60n }), 'bad-field'],
  ['a GPU without uuid', bytes({ gpus: [gpu('')] }), 'bad-field'],
  ['a GPU that is told at any length', bytes({ gpus: [gpu('GPU-a', 'ok', { name: 'x'.repeat(limits.gpuRowBytesMax) })] }), 'bad-field'],
  [
    'a GPU whose bytes are none',
    SealedReport.encode(SealedReport.fromPartial({ ...report('a', 1), gpus: [Buffer.from([0x0a, 9])] })).finish(),
    'not-a-report',
  ],
  ['too many GPUs', bytes({ gpus: many(limits.gpusPerNodeMax + 1).map((at) => gpu(`GPU-${at}`)) }), 'too-many-rows'],
  [
    'too many endpoints',
    bytes({ endpoints: many(limits.endpointsPerNodeMax + 1).map((at) => endpoint('a', { id: `a/${at}` })) }),
    'too-many-rows',
  ],
])('%s: refused', (_name, message, malformed) => {
  expect(parseReport(message, 'a')).toMatchObject({ malformed })
})

/** Each field set: one that a report gets later has to be read sealed, too. */
test('a report reads the same with its GPUs closed', () => {
  const said = NodeReport.fromPartial({
    ...{ nodeId: 'a', bootId: 'b', sequence: 3n, intervalMs: 500, full: true, zone: 'z', agentVersion: '1', gpus: [gpu('GPU-a')] },
    ...{ endpoints: [endpoint('a')], host: { cpuUtilization: 0.5 }, events: [{ kind: 'k', ageMs: 1n }], gpuTelemetry: 1 },
    ...{ gpuTelemetryReason: 'r', simulated: true, wallClockUnixMs: 9n, localDrain: true, localDrainReason: 'd' },
  })
  const sealed = SealedReport.decode(NodeReport.encode(said).finish())
  expect(Object.keys(sealed).sort()).toEqual(Object.keys(NodeReport.fromPartial({})).sort())
  expect({ ...sealed, gpus: sealed.gpus.map((row) => GpuReport.decode(row)) }).toEqual(said)
})

test.each(['127.0.0.1:8001', '[::1]:8001', 'gpu-a.cluster.local:8001', 'unix:/run/triton.sock'])('%s is an address', (address) => {
  expect(isMalformed(parseReport(bytes({ endpoints: [endpoint('a', { address })] }), 'a'))).toBe(false)
})

test('a number that cannot be true is unknown, never zero', () => {
  const load = { queueDepth: -1, running: Number.NaN, kvCacheUse: 3, tokensPerS: Number.POSITIVE_INFINITY, requestsPerS: 0 }
  const result = parseReport(bytes({ endpoints: [endpoint('a', { load })] }), 'a')
  expect(isMalformed(result) ? result : result.endpoints[0]?.load).toEqual({
    queueDepth: undefined,
    running: undefined,
    kvCacheUse: undefined,
    tokensPerS: undefined,
    requestsPerS: 0,
  })
})

test('of the words on where numbers are from, those of known numbers are kept, and not at any length', () => {
  const loadSources = { queue_depth: 'vllm:num_requests_waiting', capacity: 'x'.repeat(9_999), __proto__x: 'y', of_tomorrow: 'z' }
  const result = parseReport(bytes({ endpoints: [endpoint('a', { loadSources, serverKind: 'k'.repeat(9_999) })] }), 'a')
  expect(isMalformed(result) ? result : result.endpoints[0]).toMatchObject({
    loadSources: { queue_depth: 'vllm:num_requests_waiting', capacity: 'x'.repeat(limits.reportTextMax) },
    serverKind: 'k'.repeat(limits.reportTextMax),
  })
})

test('a GPU or a server that cannot be is unknown in what it says', () => {
  const gpus = [
    gpu('GPU-a', 'ok', {
      utilization: 7,
      memoryUtilization: Number.NaN,
      temperatureCelsius: 9_000,
      powerDrawWatts: -1,
      powerLimitWatts: 700,
    }),
  ]
  const result = parseReport(bytes({ gpus, endpoints: [endpoint('a', { capacity: 4_000_000_000 })] }), 'a')
  expect(isMalformed(result) ? result : [result.gpus[0]?.powerLimitWatts, result.endpoints[0]?.capacity]).toEqual([700, undefined])
  for (const field of ['utilization', 'memoryUtilization', 'temperatureCelsius', 'powerDrawWatts'] as const)
    expect(isMalformed(result) ? result : result.gpus[0]?.[field], field).toBeUndefined()
})

test('events are bounded: the newest come in, with texts of bounded length', () => {
  const events = many(limits.eventsPerReportMax + 2).map((at) => ({
    ...{ ageMs: 5n, kind: `k${at}`, detail: 'x'.repeat(999), gpuUuid: 'GPU-a', xid: 79 },
    xidAction: XidAction.XID_ACTION_REBOOT_NODE,
  }))
  const result = parseReport(bytes({ events }), 'a')
  const read = isMalformed(result) ? [] : result.events
  expect(read.map(({ kind }) => kind)).toEqual(events.slice(2).map(({ kind }) => kind))
  expect(read[0]).toEqual({ ...events[2], detail: 'x'.repeat(limits.reportTextMax) })
})
