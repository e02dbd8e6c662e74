import { expect, test } from 'vitest'
import { OrcaLoadReport } from '../../proto/gen/xds/data/orca/v3/orca_load_report.ts'
import { headerField } from '../http2/header-field.ts'
import { readOrca } from './orca.ts'

const binary = (report: Partial<OrcaLoadReport>): string =>
  Buffer.from(OrcaLoadReport.encode(OrcaLoadReport.fromPartial(report)).finish()).toString('base64')
const named = { num_requests_waiting: 3, kv_cache_usage_perc: 0.25, other: 7 }
const read = (name: string, value: string) => readOrca([headerField('grpc-status', '0'), headerField(name, value)])

test.each([
  ['binary', 'endpoint-load-metrics-bin', binary({ namedMetrics: named, cpuUtilization: 0.4, rpsFractional: 12.5 })],
  ['binary in words', 'endpoint-load-metrics', `BIN ${binary({ namedMetrics: named, rpsFractional: 12.5 })}`],
  [
    'text',
    'endpoint-load-metrics',
    'TEXT cpu_utilization=0.3, named_metrics.num_requests_waiting=3,named_metrics.kv_cache_usage_perc=0.25, rps_fractional=12.5',
  ],
  [
    'text of old',
    'endpoint-load-metrics',
    'TEXT named_metrics.num_requests_waiting:3,named_metrics.kv_cache_usage_perc:0.25,rps_fractional:12.5',
  ],
  ['JSON', 'endpoint-load-metrics', `JSON ${JSON.stringify({ rps_fractional: 12.5, named_metrics: named })}`],
])('a report in %s is read', (_, name, value) => {
  expect(read(name, value)).toEqual({ queueDepth: 3, kvCacheUse: 0.25, requestsPerSecond: 12.5 })
})

test('who tells nothing that we route by leaves everything unknown', () => {
  expect(readOrca([headerField('grpc-status', '0')])).toBeUndefined()
  expect(read('endpoint-load-metrics-bin', binary({ cpuUtilization: 0.4 }))).toEqual({})
})

test.each([
  ['endpoint-load-metrics', 'TEXT named_metrics.num_requests_waiting=NaN'],
  ['endpoint-load-metrics', 'TEXT named_metrics.num_requests_waiting=-1'],
  ['endpoint-load-metrics', 'TEXT named_metrics.num_requests_waiting'],
  ['endpoint-load-metrics', 'JSON {"named_metrics":{"num_requests_waiting":"3"}}'],
  ['endpoint-load-metrics', 'JSON {'],
  ['endpoint-load-metrics', 'JSON 3'],
  ['endpoint-load-metrics', 'cpu=1'],
  ['endpoint-load-metrics-bin', '%%%'],
  ['endpoint-load-metrics-bin', Buffer.from([0x0a, 0xff]).toString('base64')],
  ['endpoint-load-metrics', `TEXT ${'a'.repeat(5_000)}=1`],
])('%s: %s is no report', (name, value) => {
  expect(read(name, value)).toBe('unreadable')
})
