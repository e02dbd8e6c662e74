import { expect, test } from 'vitest'
import { EndpointHealth, EndpointReport, GpuReport, GpuState, GpuTelemetry } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { allWell, findingsOf, inWords, type Sights } from './findings.ts'

const WELL: Sights = {
  gpus: {
    gpus: [GpuReport.fromPartial({ uuid: 'GPU-1', name: 'H100', index: 0, state: GpuState.GPU_STATE_OK, temperatureCelsius: 41 })],
    gpuTelemetry: GpuTelemetry.GPU_TELEMETRY_OK,
    gpuTelemetryReason: '',
  },
  nvidiaSmi: 'nvidia-smi',
  kernelLog: { wanted: true, source: '/dev/kmsg' },
  endpoints: [
    EndpointReport.fromPartial({
      id: 'a/triton',
      address: '10.0.0.1:8001',
      serverKind: 'triton',
      health: EndpointHealth.ENDPOINT_HEALTH_READY,
      models: ['llm'],
      load: { queueDepth: 0 },
    }),
  ],
  problems: [],
  bus: { servers: ['10.0.0.5:4222'], problem: undefined },
}
const endpoint = (more: Partial<EndpointReport>): Partial<Sights> => ({
  endpoints: [{ ...(WELL.endpoints[0] as EndpointReport), ...more }],
})
const telemetry = (gpuTelemetry: GpuTelemetry, gpuTelemetryReason: string): Partial<Sights> => ({
  gpus: { gpus: [], gpuTelemetry, gpuTelemetryReason },
})

test('a host where all is well has nothing to mend', () => {
  const findings = findingsOf(WELL)
  expect(findings.map(({ level }) => level)).toEqual(['ok', 'ok', 'ok', 'ok'])
  expect(inWords(findings)).toMatch(/^ok {3}gpus {7}GPU 0 H100 GPU-1, 41 °C\nok {3}kernel log read from \/dev\/kmsg\n/)
})

test.each<[string, Partial<Sights>, 'warning' | 'bad', RegExp]>([
  ['no GPU', telemetry(GpuTelemetry.GPU_TELEMETRY_NO_GPU, 'nvidia-smi is not on this host'), 'warning', /not on this host/],
  ['a broken driver', telemetry(GpuTelemetry.GPU_TELEMETRY_FAILED, 'driver not loaded'), 'bad', /driver not loaded/],
  ['a silent nvidia-smi', telemetry(GpuTelemetry.GPU_TELEMETRY_UNSPECIFIED, ''), 'bad', /nvidia-smi has said nothing/],
  ['a kernel log that is closed to us', { kernelLog: { wanted: true, source: undefined } }, 'warning', /cannot be read/],
  ['no server', { endpoints: [] }, 'warning', /none is told/],
  ['a mistake in a file', { problems: ['x.yaml:3: kind'] }, 'bad', /x\.yaml:3/],
  ['a server that is away', endpoint({ health: EndpointHealth.ENDPOINT_HEALTH_FAILED, healthReason: 'refused' }), 'bad', /FAILED: refused/],
  ['an address that nobody else reaches', endpoint({ address: '127.0.0.1:8001' }), 'warning', /only proxies on this host/],
  ['an unknown load', endpoint({ load: undefined }), 'warning', /nothing is known of its load/],
  ['a bus that is away', { bus: { servers: ['h:1'], problem: 'NATS at h:1 does not answer' } }, 'bad', /does not answer/],
])('%s is told, with what to do', (_, change, level, words) => {
  const findings = findingsOf({ ...WELL, ...change })
  expect(findings.filter((one) => one.level !== 'ok')).toEqual([
    { part: expect.any(String), level, text: expect.stringMatching(words), cure: expect.stringMatching(/./) },
  ])
  expect(allWell(findings)).toBe(level !== 'bad')
})
