import { expect, test } from 'vitest'
import { millis } from '../../core/units.ts'
import { PeakEwma } from './peak-ewma.ts'

test('a slow sample counts at once, fast ones bring it down with time, and silence lets it fade', () => {
  const latency = new PeakEwma()
  expect(latency.read(millis(5))).toBeUndefined()
  latency.record(millis(100), millis(0))
  latency.record(millis(400), millis(1))
  expect(latency.read(millis(1))).toBe(400)
  latency.record(millis(100), millis(10_001))
  expect(latency.read(millis(10_001))).toBeCloseTo(400 / Math.E + 100 * (1 - 1 / Math.E))
  const before = latency.read(millis(10_001)) ?? 0
  expect(latency.read(millis(20_001))).toBeCloseTo(before / Math.E)
})
