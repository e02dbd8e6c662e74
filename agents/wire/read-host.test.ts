import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { hostReader, timesOf } from './read-host.ts'

test('waiting for disks is not work, and guests are not counted twice', () => {
  expect(timesOf('cpu  100 10 30 800 40 5 15 0 60 6')).toEqual({ total: 1_000, busy: 160 })
})

test('the host is read once a second, its use of processors is known from the second reading on', () => {
  let now = millis(0)
  const read = hostReader({ now: () => now })
  const first = read()
  expect(first.cpuUtilization).toBeUndefined()
  expect(first.memoryTotalBytes).toBeGreaterThan(0n)
  now = millis(limits.hostPeriod - 1)
  expect(read()).toBe(first)
  now = limits.hostPeriod
  const second = read()
  expect(second).not.toBe(first)
  if (second.cpuUtilization !== undefined) expect(second.cpuUtilization).toBeLessThanOrEqual(1)
})
