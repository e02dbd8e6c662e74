import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { type GpuReport, XidAction } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { gpu } from '../testing/reports.ts'
import { type GpuFacts, judgeGpu, nextGpuLookAt, stepGpu } from './gpu-record.ts'

const ok = (fields: Partial<GpuReport> = {}): GpuReport => gpu('GPU-a', 'ok', fields)
const failed = (fields: Partial<GpuReport> = {}): GpuReport => gpu('GPU-a', 'failed', fields)

/** Seconds and what was said then; answers the record. */
function told(...said: readonly (readonly [number, GpuReport])[]): GpuFacts {
  let record: GpuFacts | undefined
  for (const [at, report] of said) record = stepGpu(record, report, millis(at * 1000))
  if (record === undefined) throw new Error('nothing was said')
  return record
}

/** In words that fit a table: kind, then what matters of it. */
function verdict(record: GpuFacts, atSeconds: number): string {
  const judged = judgeGpu(record, millis(atSeconds * 1000))
  switch (judged.kind) {
    case 'usable':
      return `usable ${judged.factor}${judged.rests ? ' rests' : ''}`
    case 'leaving':
      return judged.firm ? 'leaving firm' : 'leaving'
    case 'gone':
      return judged.asksRecovery ? 'gone asks' : 'gone'
    default:
      return judged satisfies never
  }
}

test.each([
  ['well', ok(), 'usable 1'],
  ['nothing is known of it', ok({ throttleReasons: undefined, eccUncorrected: undefined, remapPending: undefined }), 'usable 1'],
  ['idle, at its power cap, by application clocks: no slowdown', ok({ throttleReasons: 0x7n }), 'usable 1'],
  ['hardware slowdown', ok({ throttleReasons: 0x8n }), 'usable 0.7'],
  ['software thermal slowdown', ok({ throttleReasons: 0x20n }), 'usable 0.7'],
  ['hardware thermal slowdown', ok({ throttleReasons: 0x48n }), 'usable 0.4'],
  ['power brake', ok({ throttleReasons: 0x80n }), 'usable 0.4'],
  ['rows wait to be remapped', ok({ remapPending: true }), 'usable 0.5'],
  ['lost', failed(), 'gone'],
  ['it asks for a reset', failed({ recoveryAction: 'Reset' }), 'gone asks'],
  ['the kernel told of what only a reset ends', failed({ faultAction: XidAction.XID_ACTION_RESET_GPU }), 'gone asks'],
  ['the kernel told of what only a reboot ends', failed({ faultAction: XidAction.XID_ACTION_REBOOT_NODE }), 'gone asks'],
  ['it asks to be drained', failed({ recoveryAction: 'Drain and Reset' }), 'leaving firm'],
  ['it asks to be drained, and works', ok({ recoveryAction: 'Drain P2P' }), 'leaving firm'],
  ['it asks for nothing', ok({ recoveryAction: 'None' }), 'usable 1'],
  ['errors from before we came', ok({ eccUncorrected: 900n, eccCorrected: 90_000n }), 'usable 1'],
])('%s: %o is %s', (_name, report, expected) => {
  expect(verdict(told([0, report]), 0)).toBe(expected)
})

test.each([
  [
    'a slowdown that ended counts until it was away for a while',
    [
      [0, 0x8n],
      [1, 0n],
    ],
    ['1 usable 0.7', '10 usable 0.7', '11 usable 1'],
  ],
  ['hard slowdown weighs first and rests when it lasts', [[0, 0x40n]], ['0 usable 0.4', '29 usable 0.4', '30 usable 0.4 rests']],
  [
    'one that flutters lasts too',
    [
      [0, 0x40n],
      [8, 0n],
      [16, 0x40n],
      [24, 0n],
    ],
    ['29 usable 0.4', '31 usable 0.4 rests', '34 usable 1'],
  ],
  [
    'what is left when the heat ends',
    [
      [0, 0x60n],
      [5, 0x20n],
    ],
    ['14 usable 0.4', '15 usable 0.7', '99 usable 0.7'],
  ],
] as const)('%s', (_name, reasons, seen) => {
  const record = told(...reasons.map(([at, throttleReasons]) => [at, ok({ throttleReasons })] as const))
  expect(seen.map((word) => `${word.split(' ')[0]} ${verdict(record, Number(word.split(' ')[0]))}`)).toEqual(seen)
})

test.each([
  ['few errors', [0n, 2n], 'usable 1'],
  ['more than few', [0n, 3n], 'leaving'],
  ['it stays so', [5n, 9n, 9n, 9n], 'leaving'],
  ['it stays so while they cannot be read', [5n, 9n, undefined], 'leaving'],
  ['counters that began anew: the GPU was reset', [5n, 9n, 0n], 'usable 1'],
] as const)('uncorrected errors, %s: %s', (_name, counts, expected) => {
  expect(verdict(told(...counts.map((eccUncorrected, at) => [at, ok({ eccUncorrected })] as const)), 9)).toBe(expected)
})

test.each([
  ['as many as harm nobody', [5n, 104n], 'usable 1'],
  ['many', [5n, 105n], 'usable 0.7'],
  ['many at once, or on and on', [5n, 400n, 800n, 1_100n], 'leaving'],
  ['it stays so while they cannot be read', [5n, 1_100n, undefined], 'leaving'],
  ['counters that began anew: a reset, or the driver was loaded again', [5n, 1_100n, 3n], 'usable 1'],
] as const)('corrected errors, %s: %s', (_name, counts, expected) => {
  expect(verdict(told(...counts.map((eccCorrected, at) => [at, ok({ eccCorrected })] as const)), 3)).toBe(expected)
})

test('what is held against a GPU for its corrected errors ends in steps, each announced', () => {
  const facts = told([0, ok({ eccCorrected: 0n })], [1, ok({ eccCorrected: 5_000n })])
  const verdicts = ['leaving']
  for (let at = nextGpuLookAt(facts, millis(1_000)); at !== undefined; at = nextGpuLookAt(facts, at))
    verdicts.push(verdict(facts, at / 1_000))
  expect(verdicts).toEqual(['leaving', 'usable 0.7', 'usable 1'])
})

test('few errors now and then do not add up over days', () => {
  const hour = limits.eccSpan / 1000
  const said = [0n, 2n, 2n, 4n, 4n, 6n].map((eccUncorrected, at) => [at * hour, ok({ eccUncorrected })] as const)
  expect(verdict(told(...said), 6 * hour)).toBe('usable 1')
})

test('it says when time alone will change its mind', () => {
  const record = told([0, ok({ throttleReasons: 0x40n })], [25, ok({ throttleReasons: 0n })])
  expect(nextGpuLookAt(record, millis(25_000))).toBe(30_000)
  expect(nextGpuLookAt(record, millis(30_000))).toBe(35_000)
  expect(nextGpuLookAt(record, millis(35_000))).toBeUndefined()
})

test('load and temperature come and go, and what a verdict is made of stays the object that it was', () => {
  const first = told([0, ok({ utilization: 0.1, temperatureCelsius: 40, eccUncorrected: 3n })])
  const second = stepGpu(first, ok({ utilization: 0.9, temperatureCelsius: 80, eccUncorrected: 3n }), millis(500))
  expect(second).toBe(first)
  expect(stepGpu(first, ok({ eccUncorrected: 4n }), millis(500))).not.toBe(first)
})

test('GPUs of a node share what is the same of them, until one differs', () => {
  const first = told([0, ok({ eccUncorrected: 3n, eccCorrected: 9n })])
  const beside = (fields: Partial<GpuReport>) => stepGpu(undefined, gpu('GPU-b', 'ok', fields), millis(0), first)
  expect(beside({ eccUncorrected: 3n, eccCorrected: 9n })).toBe(first)
  const other = beside({ eccUncorrected: 2n, eccCorrected: 9n })
  expect(other).not.toBe(first)
  expect(stepGpu(other, gpu('GPU-b', 'ok', { eccUncorrected: 2n, eccCorrected: 9n }), millis(1), first)).toBe(other)
})
