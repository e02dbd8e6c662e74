import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { GpuReport, GpuState, GpuTelemetry } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { faultMemory } from './fault-memory.ts'
import { type FaultMemory, watchFaults } from './watch-faults.ts'

const PLACE = '00000000:01:00.0'

function watch(memory?: FaultMemory) {
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
    memory,
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

test('a fault that is over does not come back with the next agent of this boot, and does with one of another boot', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-faults-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const silent = pino({ level: 'silent' })
  const agent = (boot: string) => watch(faultMemory(join(folder, 'state'), silent, boot)).faults
  const fault = { text: xid(119), at: millis(5_000) }
  const first = agent('boot-1')
  first.read(fault, false)
  first.clear('GPU-1')
  const held = (boot: string): number => {
    const next = agent(boot)
    next.read(fault, true)
    return next.count()
  }
  expect([held('boot-1'), held('boot-2')]).toEqual([0, 1])
  const [file = ''] = readdirSync(join(folder, 'state'))
  for (const text of ['', '{', '{"bootId":"boot-1","over":{"a":"b"}}', '[]']) {
    writeFileSync(join(folder, 'state', file), text)
    expect(held('boot-1')).toBe(1)
  }
})
