import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import { GpuBinding, GpuTelemetry, type NodeReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { endpoint, gpu, HEALTH, heard, heartbeat, report } from '../testing/reports.ts'
import { foldReport as foldHeard, sameNode, sameToJudge, succeed } from './fold-report.ts'
import type { NodeRecord } from './node-record.ts'

const foldReport = (known: NodeRecord | undefined, said: NodeReport, now: Millis, warm: boolean): NodeRecord =>
  foldHeard(known, heard(said), now, warm)

/** What is known at the end. */
function fold(...reports: readonly NodeReport[]): { readonly node: NodeRecord | undefined } {
  let node: NodeRecord | undefined
  for (const [at, one] of reports.entries()) node = foldReport(node, one, millis(at), true)
  return { node }
}

test('a report in between changes what it names and leaves the rest', () => {
  const full = report('a', 1, {
    gpus: [gpu('GPU-a'), gpu('GPU-b')],
    endpoints: [endpoint('a'), endpoint('a', { id: 'a/other' })],
    simulated: true,
  })
  const { node } = fold(full, { ...heartbeat('a', 2), gpus: [gpu('GPU-b', 'failed')], endpoints: [endpoint('a', { models: ['m'] })] })
  expect([...(node?.gpus ?? [])].map(([uuid, { state }]) => [uuid, state])).toEqual([
    ['GPU-a', 1],
    ['GPU-b', 2],
  ])
  expect([...(node?.endpoints.values() ?? [])].map(({ report }) => [report.id, report.models])).toEqual([
    ['a/triton', ['m']],
    ['a/other', ['*']],
  ])
  expect(node).toMatchObject({ zone: 'z1', simulated: true, sequence: 2, gpuTelemetry: full.gpuTelemetry })
})

test('where numbers are from stays known between full reports, and goes with the next that does not say', () => {
  const told = report('a', 1, { endpoints: [endpoint('a', { loadSources: { queue_depth: 'a family' } })] })
  const sources = (...reports: readonly NodeReport[]) => fold(...reports).node?.endpoints.get('a/triton')?.report.loadSources
  const between = { ...heartbeat('a', 2), endpoints: [endpoint('a', { load: { queueDepth: 1 } })] }
  expect(sources(told, between)).toEqual({ queue_depth: 'a family' })
  expect(sources(told, between, report('a', 3, { endpoints: [endpoint('a')] }))).toEqual({})
})

test('a full report takes away what it does not name', () => {
  const { node } = fold(report('a', 1, { gpus: [gpu('GPU-a')] }), report('a', 2, { endpoints: [endpoint('a', { id: 'a/other' })] }))
  expect([...(node?.endpoints.keys() ?? [])]).toEqual(['a/other'])
  expect(node?.gpus.size).toBe(0)
})

test('an agent cannot make its node grow by ever new endpoints', () => {
  const many = (round: number) =>
    Array.from({ length: limits.endpointsPerNodeMax }, (_, at) => endpoint('a', { id: `a/${round}-${at}`, address: `h:${at}` }))
  const { node } = fold(report('a', 1), ...[2, 3, 4].map((sequence) => ({ ...heartbeat('a', sequence), endpoints: many(sequence) })))
  expect(node?.endpoints.size).toBe(limits.endpointsPerNodeMax)
})

test('a heartbeat repeats what was said, so probation passes without news', () => {
  const failed = report('a', 1, { endpoints: [endpoint('a', { health: HEALTH.failed, healthReason: 'refused' })] })
  const seen = [2, 3, 4].map((count) => fold(failed, report('a', 2), ...[heartbeat('a', 3), heartbeat('a', 4)].slice(0, count - 2)))
  expect(seen.map(({ node }) => node?.endpoints.get('a/triton')?.liveness.state)).toEqual(['probation', 'ready', 'ready'])
})

test('an agent that restarts takes up the life of its endpoints where it was, and its GPUs keep what was seen of them', () => {
  const gpus = [gpu('GPU-a', 'ok', { eccUncorrected: 1n })]
  const before = foldReport(undefined, report('a', 1, { gpus, endpoints: [endpoint('a', { health: HEALTH.failed })] }), millis(0), true)
  const next = foldReport(
    undefined,
    report('a', 1, { bootId: 'boot-2', gpus: [gpu('GPU-a', 'ok', { eccUncorrected: 3n })] }),
    millis(9),
    true,
  )
  const node = succeed(before, next, millis(9))
  expect(node.endpoints.get('a/triton')?.liveness).toEqual({ state: 'probation', passed: 1 })
  expect(node.gpus.get('GPU-a')?.eccFrom).toEqual({ count: 1n, at: 0 })
  expect([node.bootId, node.pastBoots]).toEqual(['boot-2', ['boot-1']])
})

test('a heartbeat leaves every part the object that it was, so that nobody looks again', () => {
  const first = foldReport(undefined, report('a', 1, { gpus: [gpu('GPU-a')] }), millis(0), true)
  const second = foldReport(first, heartbeat('a', 2), millis(500), true)
  expect(second).toMatchObject({ sequence: 2, heardAt: 500 })
  expect(sameNode(first, second)).toBe(true)
  const drained = foldReport(second, { ...heartbeat('a', 3), localDrain: true, localDrainReason: 'cleaning' }, millis(1_000), true)
  expect([sameNode(second, drained), drained.localDrain]).toEqual([false, 'cleaning'])
})

test.each<[string, Partial<NodeReport>]>([
  ['its interval', { intervalMs: 250 }],
  ['its zone', { zone: 'z2' }],
  ['its version', { agentVersion: '9' }],
  ['that it is simulated', { simulated: true }],
  ['that GPUs are not seen', { gpuTelemetry: GpuTelemetry.GPU_TELEMETRY_FAILED }],
  ['why GPUs are not seen', { gpuTelemetry: GpuTelemetry.GPU_TELEMETRY_OK, gpuTelemetryReason: 'x' }],
  ['a drain', { localDrain: true }],
])('a heartbeat that says %s is news', (_what, fields) => {
  const first = foldReport(undefined, report('a', 1), millis(0), true)
  const second = foldReport(first, { ...heartbeat('a', 2), ...fields }, millis(500), true)
  expect(second).not.toBe(first)
  expect(foldReport(second, { ...heartbeat('a', 3), ...fields }, millis(1_000), true)).toBe(second)
})

test.each<[string, Partial<NodeReport>, boolean]>([
  ['a load moves', { endpoints: [endpoint('a', { load: { queueDepth: 9 } })] }, true],
  ['a GPU gets warm', { gpus: [gpu('GPU-a', 'ok', { temperatureCelsius: 80 })] }, true],
  ['a GPU is slowed down', { gpus: [gpu('GPU-a', 'ok', { throttleReasons: 0x20n })] }, false],
  ['a GPU fails', { gpus: [gpu('GPU-a', 'failed')] }, false],
  ['its GPUs cannot be seen', { gpuTelemetry: GpuTelemetry.GPU_TELEMETRY_FAILED }, false],
  ['a server is busy', { endpoints: [endpoint('a', { health: HEALTH.busy })] }, false],
  ['a server fails', { endpoints: [endpoint('a', { health: HEALTH.failed })] }, false],
  ['it serves something else', { endpoints: [endpoint('a', { models: ['m'] })] }, false],
  ['it takes more at once', { endpoints: [endpoint('a', { capacity: 9 })] }, false],
  ['it moves', { endpoints: [endpoint('a', { address: '127.0.0.1:9' })] }, false],
  ['it uses another GPU', { endpoints: [endpoint('a', { gpuUuids: ['GPU-b'] })] }, false],
  ['there is one more', { endpoints: [endpoint('a', { id: 'a/other' })] }, false],
  ['its owner drains', { localDrain: true }, false],
])('when %s, it is %2$s that all conclusions hold', (_what, fields, hold) => {
  const first = foldReport(undefined, report('a', 1, { gpus: [gpu('GPU-a')] }), millis(0), true)
  const second = foldReport(first, { ...heartbeat('a', 2), ...fields }, millis(500), true)
  expect(sameToJudge(first, second)).toBe(hold)
  expect(sameNode(first, second)).toBe(false)
})

test('a server that turned its probe away lives', () => {
  const { node } = fold(
    report('a', 1, { endpoints: [endpoint('a', { health: HEALTH.failed })] }),
    report('a', 2, { endpoints: [endpoint('a', { health: HEALTH.busy })] }),
  )
  expect(node?.endpoints.get('a/triton')?.liveness).toEqual({ state: 'probation', passed: 1 })
})

test('an endpoint whose GPUs are all gone fails, and comes back by probation', () => {
  const bound = endpoint('a', { gpuUuids: ['GPU-a'], gpuBinding: GpuBinding.GPU_BINDING_FLAG })
  const told = (sequence: number, state: 'ok' | 'failed') => report('a', sequence, { endpoints: [bound], gpus: [gpu('GPU-a', state)] })
  const state = (...reports: readonly NodeReport[]) => fold(...reports).node?.endpoints.get('a/triton')?.liveness
  expect(state(told(1, 'ok'), told(2, 'failed'))).toEqual({ state: 'failed', reason: 'no usable GPU (GPU-a: fallen off the bus)' })
  expect(state(told(1, 'ok'), told(2, 'failed'), told(3, 'ok'))).toEqual({ state: 'probation', passed: 1 })
})
