import { pino } from 'pino'
import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { GpuReport, GpuState, GpuTelemetry } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { watchFaults } from './watch-faults.ts'

const PLACE = '00000000:01:00.0'

function watch() {
  const said: string[] = []
  const xids: string[] = []
  const changes: string[] = []
  let now = 1_000
  const faults = watchFaults({
    gpus: () => ({
      gpus: [GpuReport.fromPartial({ uuid: 'GPU-1', pciBusId: PLACE, state: GpuState.GPU_STATE_OK })],
      gpuTelemetry: GpuTelemetry.GPU_TELEMETRY_OK,
      gpuTelemetryReason: '',
    }),
    clock: { now: () => millis(now) },
    log: pino({ level: 'info' }, { write: (line: string) => void said.push((JSON.parse(line) as { msg: string }).msg) }),
    onChange: () => changes.push(state()),
    onXid: (action) => xids.push(action),
  })
  const state = (): string =>
    faults
      .gpus()
      .gpus.map(({ stateReason }) => stateReason || 'ok')
      .join()
  const read = (text: string, old = false): void => faults.read({ text, at: undefined }, old)
  const later = (by: number): void => {
    now += by
  }
  return { faults, said, xids, changes, read, state, later }
}

const xid = (number: number): string => `NVRM: Xid (PCI:0000:01:00): ${number}, words`

test('a fault is told at once, counted by what to do about it, and over when an operator says so', () => {
  const { faults, said, xids, changes, read, state } = watch()
  read(xid(79))
  expect(changes).toEqual(['Xid 79: GPU has fallen off the bus; reboot the node'])
  read(xid(119))
  read(xid(31))
  expect([changes.length, faults.count()]).toEqual([1, 1])
  expect(faults.clear('GPU-9')).toEqual({ done: false, detail: "no fault from the kernel's log holds GPU-9" })
  expect(faults.clear('GPU-1')).toEqual({ done: true, detail: 'cleared: Xid 79: GPU has fallen off the bus; reboot the node' })
  expect([state(), changes.length]).toEqual(['ok', 2])
  expect(xids).toEqual(['reboot_node', 'reset_gpu', 'restart_application'])
  expect(said).toEqual(['gpu-fault.begun', 'gpu.xid', 'gpu.xid', 'gpu-fault.cleared'])
})

test('what is known from before the agent fails a GPU too, and of applications then no line is written', () => {
  const { said, read, state } = watch()
  read(xid(31), true)
  read(xid(79), true)
  expect([state(), said]).toEqual(['Xid 79: GPU has fallen off the bus; reboot the node', ['gpu-fault.begun']])
})

test('an application that fails without end fills no log', () => {
  const { said, xids, read, later } = watch()
  for (let round = 0; round < 1_000; round++) read(xid(13))
  expect([said.length, xids.length]).toEqual([limits.xidLogLinesPerMinute, 1_000])
  later(60_000)
  read(xid(13))
  expect(said).toHaveLength(limits.xidLogLinesPerMinute + 1)
})
