import { expect, test } from 'vitest'
import { millis } from '../../core/units.ts'
import { RetryBudget } from './retry-budget.ts'
import { TimerWheel } from './timer-wheel.ts'

test('a timer fires once, never early, and within a grain', () => {
  const wheel = new TimerWheel(millis(0))
  const fired: [number, number][] = []
  let now = 0
  for (const at of [1, 19, 20, 21, 500, 39_999, 41_000, 90_000]) wheel.schedule(millis(at), () => fired.push([at, now]))
  for (now = 0; now <= 100_000; now += 7) wheel.advance(millis(now))
  expect(fired.map(([at]) => at).sort((a, b) => a - b)).toEqual([1, 19, 20, 21, 500, 39_999, 41_000, 90_000])
  for (const [at, when] of fired) {
    expect(when).toBeGreaterThanOrEqual(at)
    expect(when - at).toBeLessThan(50)
  }
  expect(wheel.size).toBe(0)
})

test('a cancelled timer never fires, also when a neighbour cancels it', () => {
  const wheel = new TimerWheel(millis(0))
  const fired: string[] = []
  const first = wheel.schedule(millis(10), () => fired.push('first'))
  const third = wheel.schedule(millis(10), () => fired.push('third'))
  wheel.schedule(millis(10), () => {
    fired.push('second')
    wheel.cancel(first)
    wheel.cancel(third)
  })
  wheel.advance(millis(100))
  wheel.cancel(first)
  expect([fired, wheel.size]).toEqual([['second'], 0])
})

test('a long pause loses no timer', () => {
  const wheel = new TimerWheel(millis(0))
  let fired = 0
  for (let at = 0; at < 100_000; at += 13) wheel.schedule(millis(at), () => fired++)
  wheel.advance(millis(200_000))
  expect(fired).toBe(Math.ceil(100_000 / 13))
})

test('retries are bounded by what succeeded', () => {
  const budget = new RetryBudget()
  let taken = 0
  while (budget.take()) taken++
  expect(taken).toBe(100)
  for (let i = 0; i < 25; i++) budget.earn()
  expect([budget.take(), budget.take(), budget.take()]).toEqual([true, true, false])
})
