import { expect, test } from 'vitest'
import { type Millis, millis } from '../../core/units.ts'
import { type Impatience, judgeProgress, Patience } from './patience.ts'
import { TimerWheel } from './timer-wheel.ts'

const progress = (answerBegan: boolean, quietSince: number) => ({ startedAt: millis(1_000), answerBegan, quietSince: millis(quietSince) })

test.each([
  ['nothing is limited where no row says so', {}, progress(false, 1_000), 9e9, undefined],
  ['an attempt within its time is looked at when it ends', { perTryMs: 500 }, progress(false, 1_000), 1_100, 1_500],
  ['an attempt may not take longer in all', { perTryMs: 500 }, progress(true, 1_499), 1_500, 'per-try'],
  ['the first byte is waited for', { firstByteMs: 300 }, progress(false, 1_000), 1_299, 1_300],
  ['the first byte does not come', { firstByteMs: 300 }, progress(false, 1_299), 1_300, 'first-byte'],
  ['an answer that began is waited for without end', { firstByteMs: 300 }, progress(true, 1_000), 99_000, undefined],
  ['silence is looked for in steps', { idleMs: 400 }, progress(true, 2_000), 2_000, 2_100],
  ['silence ends it', { idleMs: 400 }, progress(true, 2_000), 2_400, 'idle'],
  ['the nearest limit decides when to look', { perTryMs: 350, firstByteMs: 310, idleMs: 9_000 }, progress(false, 1_000), 1_000, 1_310],
] as const)('%s', (_name, timeouts, state, now, wanted) => {
  expect(judgeProgress(timeouts, state, millis(now))).toBe(wanted)
})

/** An attempt on which something moves at the given times; answers when patience was over. */
function play(timeouts: { readonly firstByteMs?: number; readonly idleMs?: number }, moves: readonly number[], until: number) {
  let now = 0
  const clock = (): Millis => millis(now)
  const wheel = new TimerWheel(clock())
  const watched = { answerBegan: false, activity: 0 }
  const over: [Impatience, number][] = []
  const patience = new Patience(wheel, clock, timeouts, watched, (what) => over.push([what, now]))
  for (; now <= until; now += 20) {
    if (moves.includes(now)) {
      watched.activity++
      watched.answerBegan = true
    }
    wheel.advance(clock())
  }
  return { over, wheel, patience }
}

test('traffic holds silence off, and its end is noticed late by a quarter at most', () => {
  const moves = Array.from({ length: 20 }, (_, at) => at * 200)
  const { over, wheel } = play({ idleMs: 400 }, moves, 6_000)
  expect(over.map(([what]) => what)).toEqual(['idle'])
  const last = moves.at(-1) as number
  expect(over[0]?.[1]).toBeGreaterThanOrEqual(last + 400)
  expect(over[0]?.[1]).toBeLessThanOrEqual(last + 400 + 100 + 2 * 20)
  expect(wheel.size).toBe(0)
})

test('a first byte in time leaves no timer, and neither does an attempt that ends', () => {
  expect(play({ firstByteMs: 400 }, [100], 2_000)).toMatchObject({ over: [], wheel: { size: 0 } })
  const { wheel, patience } = play({ firstByteMs: 4_000 }, [], 100)
  expect(wheel.size).toBe(1)
  patience.cancel()
  expect(wheel.size).toBe(0)
})
