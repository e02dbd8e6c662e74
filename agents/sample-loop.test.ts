import { beforeEach, expect, test } from 'vitest'
import { millis } from '../core/units.ts'
import {
  EndpointHealth,
  EndpointReport,
  GpuReport,
  GpuState,
  GpuTelemetry,
  type NodeReport,
  XidAction,
} from '../proto/gen/millrace/telemetry/v1/telemetry.ts'
import type { XidNote } from './gpu/faults.ts'
import { SampleLoop } from './sample-loop.ts'

let now = 0
let drawn = 0
let linkUp = true
let gpus: GpuReport[] = []
let xids: XidNote[] = []
let endpoints: EndpointReport[] = []
let published: NodeReport[] = []
let loop: SampleLoop

beforeEach(() => {
  now = 0
  drawn = 0
  linkUp = true
  gpus = [gpu('GPU-1'), gpu('GPU-2')]
  endpoints = [EndpointReport.fromPartial({ id: 'gpu-a/triton', health: EndpointHealth.ENDPOINT_HEALTH_READY, load: { queueDepth: 0 } })]
  xids = []
  published = []
  loop = new SampleLoop(
    {
      clock: { now: () => millis(now) },
      wallClock: () => 1_800_000_000_000n + BigInt(now),
      draw: () => drawn,
      gpus: () => ({ gpus, gpuTelemetry: GpuTelemetry.GPU_TELEMETRY_OK, gpuTelemetryReason: '' }),
      xids: () => xids,
      endpoints: () => endpoints,
      host: () => ({ memoryTotalBytes: 1n }),
      publish: (report) => linkUp && published.push(report) > 0,
    },
    { nodeId: 'gpu-a', bootId: 'boot-1', zone: 'z1', agentVersion: '0', simulated: false },
  )
})

const gpu = (uuid: string, more: Partial<GpuReport> = {}): GpuReport =>
  GpuReport.fromPartial({ uuid, state: GpuState.GPU_STATE_OK, ...more })

function run(until: number): void {
  for (; now <= until; now += 250) loop.look()
}
const told = (): string[] =>
  published.map(({ sequence, full, gpus, endpoints }) => `${sequence} ${full ? 'full' : 'delta'} ${gpus.length}+${endpoints.length}`)

test('a quiet node sends one full report and then a heartbeat every 500 ms', () => {
  run(1_500)
  expect(told()).toEqual(['1 full 2+1', '2 delta 0+0', '3 delta 0+0', '4 delta 0+0'])
  expect(published[0]).toMatchObject({ nodeId: 'gpu-a', bootId: 'boot-1', zone: 'z1', intervalMs: 500 })
})

test('every ten seconds all is told again', () => {
  run(20_500)
  expect(told().flatMap((one, at) => (one.includes('full') ? [at] : []))).toEqual([0, 20, 40])
})

test('a lost GPU is told at once, alone, with an event', () => {
  run(500)
  gpus = [gpu('GPU-1'), gpu('GPU-2', { state: GpuState.GPU_STATE_FAILED, stateReason: 'GPU is lost' })]
  loop.look()
  expect(told().at(-1)).toBe('3 delta 1+0')
  expect(published.at(-1)?.events).toMatchObject([{ ageMs: 0n, kind: 'gpu.failed', detail: 'GPU-2: GPU is lost', gpuUuid: 'GPU-2' }])
  run(1_250)
  expect(published.at(-1)?.events).toEqual([])
})

test('while the bus is away nothing is kept, and its return brings what matters at once and all of it in its turn', () => {
  run(500)
  linkUp = false
  run(5_000)
  gpus = [gpu('GPU-1', { utilization: 0.9 }), gpu('GPU-2')]
  linkUp = true
  drawn = 0.5
  loop.linkReturned(millis(1_000))
  expect(told()).toEqual(['1 full 2+1', '2 delta 0+0', '3 delta 1+1'])
  expect(published.at(-1)?.gpus[0]?.utilization).toBe(0.9)
  run(5_750)
  expect(told().slice(3)).toEqual(['4 full 2+1'])
})

test('a break that was too short to drop a report is made good as well', () => {
  run(250)
  loop.linkReturned(millis(0))
  expect(told()).toEqual(['1 full 2+1', '2 full 2+1'])
})

test('a report that a slow bus did not take is made good by the next one, with its event', () => {
  run(500)
  linkUp = false
  gpus = [gpu('GPU-1'), gpu('GPU-2', { state: GpuState.GPU_STATE_FAILED, stateReason: 'GPU is lost' })]
  loop.look()
  linkUp = true
  loop.look()
  expect(told().at(-1)).toBe('3 delta 1+0')
  expect(published.at(-1)?.events).toMatchObject([{ kind: 'gpu.failed' }])
})

test('a roll call is answered by a full report at a moment of its own, once for several calls', () => {
  run(250)
  drawn = 0.9
  loop.rollCalled(millis(1_000))
  drawn = 0.4
  loop.rollCalled(millis(1_000))
  expect(told()).toEqual(['1 full 2+1'])
  run(1_500)
  expect(told()).toEqual(['1 full 2+1', '2 delta 0+0', '3 full 2+1', '4 delta 0+0'])
})

test('a full report says what time it is here; those between do not', () => {
  run(500)
  expect(published.map(({ wallClockUnixMs }) => wallClockUnixMs)).toEqual([1_800_000_000_000n, undefined])
})

test('a drain by the host owner is told at once and in every report, until it is lifted', () => {
  run(500)
  loop.drain('fans')
  expect(told().at(-1)).toBe('3 delta 0+0')
  run(1_500)
  expect(published.slice(-2).map(({ localDrain, localDrainReason }) => [localDrain, localDrainReason])).toEqual([
    [true, 'fans'],
    [true, 'fans'],
  ])
  loop.drain(undefined)
  expect(published.at(-1)).toMatchObject({ localDrain: false, localDrainReason: '' })
})

test('who is told to report now tells all, and says whether the bus took it', () => {
  run(250)
  expect(loop.reportNow()).toBe(true)
  expect(told().at(-1)).toBe('2 full 2+1')
  linkUp = false
  expect(loop.reportNow()).toBe(false)
})

test('a queue that fills up is told within a sample period', () => {
  run(500)
  endpoints = endpoints.map((one) => ({ ...one, load: { queueDepth: 40 } }))
  run(750)
  expect(told().at(-1)).toBe('3 delta 0+1')
})

test('what the log of the kernel tells goes with the next report, once, and again to one who knows nothing', () => {
  run(500)
  const note = { pciBusId: '', xid: 31, action: XidAction.XID_ACTION_RESTART_APPLICATION, reason: 'Xid 31' }
  xids = [{ ...note, number: 7, at: millis(600) }]
  run(1_000)
  const events = (): string[] => published.map((report) => report.events.map(({ kind, xid, ageMs }) => `${kind} ${xid} ${ageMs} ms`).join())
  expect(events()).toEqual(['', '', 'xid 31 400 ms'])
  xids = [...xids, { ...note, number: 8, xid: 43, at: millis(1_250) }]
  run(1_500)
  expect(events().at(-1)).toBe('xid 43 250 ms')
  loop.rollCalled(millis(0))
  loop.look()
  expect(events().at(-1)).toContain('xid 31')
})

test('where numbers are from is said by full reports, and is no reason for another', () => {
  const from = (span: string): void => {
    endpoints = endpoints.map((one) => ({ ...one, loadSources: { requests_per_s: `difference of a over ${span}` } }))
  }
  from('1.0 s')
  run(250)
  from('1.2 s')
  run(500)
  expect(told()).toEqual(['1 full 2+1', '2 delta 0+0'])
  expect(published[0]?.endpoints[0]?.loadSources).toEqual({ requests_per_s: 'difference of a over 1.0 s' })
  endpoints = endpoints.map((one) => ({ ...one, load: { queueDepth: 40 } }))
  run(750)
  expect(published.at(-1)?.endpoints[0]?.loadSources).toEqual({})
})
