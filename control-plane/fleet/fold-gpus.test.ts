import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import type { GpuReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { gpu, heard, heartbeat, report } from '../testing/reports.ts'
import { foldGpus, type ToldGpus } from './fold-gpus.ts'
import { readRows } from './gpu-rows.ts'

const full = (...gpus: GpuReport[]) => heard(report('a', 1, { gpus }))
const between = (...gpus: GpuReport[]) => heard({ ...heartbeat('a', 2), gpus })

function fold(...reports: readonly ReturnType<typeof heard>[]): ToldGpus {
  let told: ToldGpus | undefined
  for (const [at, one] of reports.entries()) told = foldGpus(told, one, millis(at))
  if (told === undefined) throw new Error('nothing was said')
  return told
}

/** `uuid temperature` of each row, and the uuids of the facts. */
const shown = ({ gpus, gpuRows }: ToldGpus): readonly [string, string] => [
  readRows(gpuRows)
    .map(({ uuid, temperatureCelsius }) => `${uuid} ${temperatureCelsius}`)
    .join(', '),
  [...gpus.keys()].join(', '),
]

const at = (uuid: string, temperatureCelsius: number): GpuReport => gpu(uuid, 'ok', { temperatureCelsius })
const [a, b, c] = [at('a', 1), at('b', 2), at('c', 3)]

test.each([
  ['a full report says all', [full(a, b)], 'a 1, b 2', 'a, b'],
  ['a later full one takes away what it does not name', [full(a, b), full(b)], 'b 2', 'b'],
  ['one in between changes what it names', [full(a, b, c), between(at('b', 9))], 'a 1, b 9, c 3', 'a, b, c'],
  ['it may name all of them', [full(a, b), between(at('a', 8), at('b', 9))], 'a 8, b 9', 'a, b'],
  ['in another order', [full(a, b), between(at('b', 9), at('a', 8))], 'a 8, b 9', 'a, b'],
  ['and what was not there before', [full(a), between(c, at('a', 5))], 'a 5, c 3', 'a, c'],
  ['a full one in another order', [full(a, b), full(at('b', 9), a)], 'b 9, a 1', 'b, a'],
  ['a GPU named twice is what was said last', [full(a, b, at('a', 7))], 'a 7, b 2', 'a, b'],
  ['a host that has none any more', [full(a), full()], '', ''],
])('%s: rows lie as the facts do', (_what, reports, rows, facts) => {
  expect(shown(fold(...reports))).toEqual([rows, facts])
})

test('what says nothing new leaves each part the object that it was', () => {
  const known = fold(full(a, b))
  expect(foldGpus(known, between(), millis(5))).toBe(known)
  for (const same of [full(a, b), between(a, b), between(b)]) {
    const next = foldGpus(known, same, millis(5))
    expect([next.gpus === known.gpus, next.gpuRows === known.gpuRows]).toEqual([true, true])
  }
  const warm = foldGpus(known, between(at('b', 9)), millis(5))
  expect([warm.gpus === known.gpus, warm.gpuRows === known.gpuRows]).toEqual([true, false])
  expect(foldGpus(known, full(a, gpu('b', 'failed')), millis(5)).gpus).not.toBe(known.gpus)
})

test('an agent cannot make its node grow by ever new GPUs', () => {
  let told = fold(full(a))
  for (let round = 0; round < 3; round++) {
    const more = Array.from({ length: limits.gpusPerNodeMax }, (_, index) => at(`${round}-${index}`, 1))
    told = foldGpus(told, between(...more), millis(round))
  }
  expect([told.gpus.size, readRows(told.gpuRows).length]).toEqual([limits.gpusPerNodeMax, limits.gpusPerNodeMax])
})
