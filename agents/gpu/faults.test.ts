import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { GpuReport, GpuState, XidAction } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { type FaultEvent, type Faults, faultyPlace, NO_FAULTS, stepFaults, withFaults, xidEvents } from './faults.ts'
import { type KernelNews, readKernelMessage } from './parse-kernel-line.ts'

const place = (index: number): string => `00000000:0${index}:00.0`
const newsOf = (text: string): KernelNews => {
  const { news } = readKernelMessage(undefined, text)
  if (news === undefined) throw new Error(`no news in ${text}`)
  return news
}
const line = (text: string, at = 0, old = false): FaultEvent => ({
  kind: 'kernel',
  news: newsOf(text),
  at: millis(at),
  writtenAt: millis(at),
  old,
})
const xid = (number: number, more = '', index = 1): FaultEvent =>
  line(`NVRM: Xid (PCI:0000:0${index}:00): ${number}, pid=1, name=x, ${more}`)
const boot = line('Linux version 6.8.0')

type Words = 'ok' | 'failed' | 'unknown'
const STATES = { ok: GpuState.GPU_STATE_OK, failed: GpuState.GPU_STATE_FAILED, unknown: GpuState.GPU_STATE_UNSPECIFIED } as const
const gpus = (...states: Words[]): GpuReport[] =>
  states.map((state, index) =>
    GpuReport.fromPartial({ uuid: `GPU-${index}`, pciBusId: place(index), state: STATES[state], utilization: 0.5 }),
  )
const smi = (...states: Words[]): FaultEvent => ({ kind: 'smi', gpus: gpus(...states) })

const play = (...events: FaultEvent[]): Faults => events.reduce(stepFaults, NO_FAULTS)
const reasons = (faults: Faults, seen: readonly GpuReport[] = gpus('ok', 'ok')): Record<string, string> =>
  Object.fromEntries(withFaults(seen, faults).map((gpu) => [gpu.uuid, gpu.state === GpuState.GPU_STATE_FAILED ? gpu.stateReason : 'ok']))

const FALLEN = 'Xid 79: GPU has fallen off the bus; reboot the node'

test('an Xid that asks for a reset or a reboot fails its GPU and no other, in words with the cure', () => {
  expect(reasons(play(xid(79)))).toEqual({ 'GPU-0': 'ok', 'GPU-1': FALLEN })
  expect(reasons(play(xid(119)))['GPU-1']).toBe("Xid 119: the GPU's system processor does not answer; reset the GPU")
  expect(reasons(play(line('NVRM: GPU 0000:01:00.0: GPU has fallen off the bus.')))['GPU-1']).toBe(
    'GPU has fallen off the bus; reboot the node',
  )
})

test.each([13, 31, 43, 48, 63, 74, 94, 149, 99_999])('Xid %i alone fails no GPU, and is told', (number) => {
  const faults = play(xid(number, 'words'))
  expect(reasons(faults)).toEqual({ 'GPU-0': 'ok', 'GPU-1': 'ok' })
  expect(faults.notes).toHaveLength(1)
})

test('what a fault asks for goes with its GPU, and no other', () => {
  expect(withFaults(gpus('ok', 'ok'), play(xid(79))).map(({ faultAction }) => faultAction)).toEqual([
    undefined,
    XidAction.XID_ACTION_REBOOT_NODE,
  ])
})

test('a failed GPU keeps the values that nvidia-smi still has of it', () => {
  expect(withFaults(gpus('ok', 'ok'), play(xid(79)))[1]).toMatchObject({ uuid: 'GPU-1', utilization: 0.5 })
})

test.each<[string, FaultEvent[], boolean]>([
  ['good rows alone do not end it', [xid(119), smi('ok', 'ok'), smi('ok', 'ok')], true],
  ['what nvidia-smi said before it is no sign', [smi('ok', 'failed'), xid(119), smi('ok', 'ok')], true],
  ['a GPU that vanished or wanted a reset, and is well again, was reset', [xid(119), smi('ok', 'failed'), smi('ok', 'ok')], false],
  ['that nothing is known in between is no sign', [xid(119), smi('unknown', 'unknown'), smi('ok', 'ok')], true],
  ['nor is it the end when nothing is known after', [xid(119), smi('ok', 'failed'), smi('ok', 'unknown')], true],
  ['the same fault again asks for signs again', [xid(119), smi('ok', 'failed'), xid(119), smi('ok', 'ok')], true],
  ['a new boot ends it', [xid(79), boot], false],
  ['an operator ends it', [xid(79), { kind: 'cleared', pciBusId: place(1) }], false],
  ['another GPU that is cleared does not', [xid(79), { kind: 'cleared', pciBusId: place(0) }], true],
  ['another GPU that was reset does not', [xid(79), smi('failed', 'ok'), smi('ok', 'ok')], true],
  ['a driver that asks for nothing any more ends it', [xid(119), xid(154, 'changed from 0x1 (GPU Reset Required) to 0x0 (None)')], false],
  ['a fault after the end is a new one', [xid(79), boot, xid(119)], true],
])('%s', (_, events, failed) => {
  expect(reasons(play(...events))['GPU-1'] !== 'ok').toBe(failed)
})

test('the cause is told and not its consequences, until a graver fault comes', () => {
  const first = play(xid(119), xid(120), xid(62))
  expect(reasons(first)['GPU-1']).toMatch(/^Xid 119:/)
  expect(reasons(play(xid(119), xid(79), xid(119)))['GPU-1']).toBe(FALLEN)
})

test('a fault of a GPU that nvidia-smi never told of goes by its place, until its row comes', () => {
  const faults = play(xid(79, '', 7))
  expect(reasons(faults)).toEqual({ 'GPU-0': 'ok', 'GPU-1': 'ok', 'pci-00000000:07:00.0': FALLEN })
  const seen = GpuReport.fromPartial({ uuid: 'GPU-7', pciBusId: place(7), state: GpuState.GPU_STATE_OK })
  expect(reasons(faults, [seen])).toEqual({ 'GPU-7': FALLEN })
  for (const name of ['GPU-7', place(7)]) expect(faultyPlace(name, [seen], faults)).toBe(place(7))
  expect(faultyPlace('pci-00000000:07:00.0', [], faults)).toBe(place(7))
  for (const name of ['GPU-1', 'GPU-8']) expect(faultyPlace(name, gpus('ok', 'ok'), faults)).toBeUndefined()
})

test('a report carries each note once, with its GPU, its age and what to do', () => {
  const { notes } = play(line('NVRM: Xid (PCI:0000:01:00): 31, a', 100), line('NVRM: Xid (PCI:0000:07:00): 79', 400))
  const rest = xidEvents(notes, 0, gpus('ok', 'ok'), millis(1_000))
  expect(rest).toEqual([
    {
      ageMs: 900n,
      kind: 'xid',
      detail: 'GPU-1: Xid 31: a; restart the application',
      gpuUuid: 'GPU-1',
      xid: 31,
      xidAction: XidAction.XID_ACTION_RESTART_APPLICATION,
    },
    {
      ageMs: 600n,
      kind: 'xid',
      detail: `pci-${place(7)}: ${FALLEN}`,
      gpuUuid: `pci-${place(7)}`,
      xid: 79,
      xidAction: XidAction.XID_ACTION_REBOOT_NODE,
    },
  ])
  expect(xidEvents(notes, 1, [], millis(1_000))).toHaveLength(1)
  expect(xidEvents(notes, 2, [], millis(1_000))).toEqual([])
})

test('of the time before the agent only faults are told', () => {
  const faults = play(line('NVRM: Xid (PCI:0000:01:00): 31', 0, true), line('NVRM: Xid (PCI:0000:01:00): 79', 0, true))
  expect(faults.notes.map(({ xid }) => xid)).toEqual([79])
  expect(reasons(faults)['GPU-1']).toBe(FALLEN)
})

test('however much a log says, what is kept has a bound', () => {
  const many = Array.from({ length: 1_000 }, (_, at) => line(`NVRM: Xid (PCI:${(at + 1).toString(16).padStart(4, '0')}:01:00): 79`))
  const faults = play(...many)
  expect([faults.faults.size, faults.notes.length, faults.noted]).toEqual([limits.gpusPerNodeMax, limits.xidNotesMax, 1_000])
  expect(withFaults(gpus('ok', 'ok'), faults)).toHaveLength(limits.gpusPerNodeMax)
})

test('what was over stays over for an agent that reads the log again, and what came after it does not', () => {
  const text = 'NVRM: Xid (PCI:0000:01:00): 119, a'
  const { over } = play(line(text, 100), line(text, 300), { kind: 'cleared', pciBusId: place(1) })
  expect([...over]).toEqual([[place(1), 300]])
  const again = (...events: FaultEvent[]): Faults => events.reduce(stepFaults, { ...NO_FAULTS, over })
  expect(again(line(text, 100, true), line(text, 300, true)).faults.size).toBe(0)
  expect(again(line(text, 301, true)).faults.size).toBe(1)
  expect(again(line(text, 200)).faults.size).toBe(1)
  expect(again(line('NVRM: Xid (PCI:0000:02:00): 119, a', 100, true)).faults.size).toBe(1)
  expect(again(boot).over.size).toBe(0)
})

test('a fault of a log without times is not known to be over by the next agent', () => {
  const untimed: FaultEvent = {
    kind: 'kernel',
    news: newsOf('NVRM: Xid (PCI:0000:01:00): 119, a'),
    at: millis(0),
    writtenAt: undefined,
    old: false,
  }
  expect(play(untimed, { kind: 'cleared', pciBusId: place(1) }).over.size).toBe(0)
})
