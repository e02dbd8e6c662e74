import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { type Millis, millis } from '../../core/units.ts'
import { askAgain } from './again.ts'
import { startBeat } from './beat.ts'

const GAP = millis(100)
const clock = { now: () => millis(performance.now()) }

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

/** Asks whose answers say how long to wait; notes when each began, from the start on. */
function asker(pause: Millis | 'next-report') {
  const beat = startBeat()
  onTestFinished(() => beat.stop())
  const start = clock.now()
  const began: number[] = []
  const asking = askAgain({ clock, beat, gapMin: GAP }, async () => {
    began.push(Math.round(clock.now() - start))
    return pause
  })
  return { began, asking }
}

test('it asks at once, and then as each answer says', async () => {
  const { began, asking } = asker(millis(500))
  await vi.advanceTimersByTimeAsync(1_400)
  await asking.stop()
  await vi.advanceTimersByTimeAsync(2_000)
  expect(began).toEqual([0, 500, 1_000])
})

test('one that is to be asked at the times of reports is, also after news between two of them', async () => {
  const { began, asking } = asker('next-report')
  await vi.advanceTimersByTimeAsync(1_200)
  asking.soon()
  await vi.advanceTimersByTimeAsync(400)
  await asking.stop()
  await vi.advanceTimersByTimeAsync(2_000)
  expect(began).toEqual([0, 500, 1_000, 1_200, 1_500])
})

test('news brings the next question forward, but not closer to the last one than the gap', async () => {
  const { began, asking } = asker(millis(500))
  await vi.advanceTimersByTimeAsync(30)
  asking.soon()
  asking.soon()
  await vi.advanceTimersByTimeAsync(370)
  asking.soon()
  await vi.advanceTimersByTimeAsync(599)
  await asking.stop()
  expect(began).toEqual([0, 100, 400, 900])
})

test('news during a question has another one follow, and never two at once', async () => {
  let answer: () => void = () => {}
  let under = 0
  let most = 0
  const beat = startBeat()
  onTestFinished(() => beat.stop())
  const asking = askAgain({ clock, beat, gapMin: GAP }, async () => {
    most = Math.max(most, ++under)
    await new Promise<void>((resolve) => (answer = resolve))
    under--
    return millis(10_000)
  })
  asking.soon()
  await vi.advanceTimersByTimeAsync(200)
  answer()
  await vi.advanceTimersByTimeAsync(1)
  expect([under, most]).toEqual([1, 1])
  answer()
  await asking.stop()
})
