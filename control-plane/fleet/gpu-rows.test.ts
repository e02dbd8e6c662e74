import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { GpuReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { gpu } from '../testing/reports.ts'
import { layRows, readRow, readRows, rowsOf } from './gpu-rows.ts'

const bytes = (report: GpuReport): Uint8Array => GpuReport.encode(report).finish()

test.each([
  ['none', []],
  ['one of nothing', [0]],
  ['several', [3, 0, 300, 1]],
  ['the longest', [limits.gpuRowBytesMax, limits.gpuRowBytesMax]],
])('rows come out as they were laid: %s', (_what, lengths) => {
  const rows = lengths.map((length, at) => new Uint8Array(length).fill(at + 1))
  expect(rowsOf(layRows(rows))).toEqual(rows)
})

test('what is laid lies in memory of its own', () => {
  const row = bytes(gpu('GPU-a'))
  const laid = layRows([row])
  row.fill(0)
  expect(readRows(laid).map(({ uuid }) => uuid)).toEqual(['GPU-a'])
})

test('a GPU is shown with all that was said of it', () => {
  const said = gpu('GPU-a', 'ok', {
    ...{ name: 'H100', pciBusId: '0:1', index: 3, utilization: 0.5, memoryUtilization: 0.4, memoryTotalBytes: 80n, memoryUsedBytes: 7n },
    ...{ temperatureCelsius: 60, powerDrawWatts: 300, powerLimitWatts: 700, smClockMhz: 1, smClockMaxMhz: 2, throttleReasons: 4n },
    ...{ eccUncorrected: 1n, eccCorrected: 2n, migEnabled: true, recoveryAction: 'None', driverVersion: '570', remapPending: false },
    ...{ performanceState: 'P0', faultAction: 2, migInstances: [{ uuid: 'MIG-1', index: 0, memoryTotalBytes: 10n }] },
  })
  expect(readRows(layRows([bytes(said)]))).toEqual([said])
})

test('a number that cannot be is absent, and a text has a bound', () => {
  const wrong = { utilization: 7, memoryUtilization: Number.NaN, temperatureCelsius: 9_000, powerDrawWatts: -1 }
  const read = readRow(bytes(gpu('GPU-a', 'ok', { ...wrong, powerLimitWatts: 700, name: 'x'.repeat(999) })))
  expect(read).toEqual(gpu('GPU-a', 'ok', { powerLimitWatts: 700, name: 'x'.repeat(limits.reportTextMax) }))
})
