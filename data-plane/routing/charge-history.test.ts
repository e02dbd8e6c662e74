import { expect, test } from 'vitest'
import { millis } from '../../core/units.ts'
import { seeded } from '../testing/slots.ts'
import { ChargeHistory } from './charge-history.ts'

/** What was held at `moment`, when it was one more at each of these times. */
function heldAt(moment: number, times: readonly number[]): number {
  const history = new ChargeHistory()
  for (const [held, at] of times.entries()) history.note(held, millis(at))
  return history.heldAt(millis(moment), times.length)
}

test.each([
  ['of whom nothing changed, what is held now', 500, [], 0],
  ['after the last change, all of it', 500, [100, 200, 300], 3],
  ['before the first, none', 50, [100, 200, 300], 0],
  ['between two changes, the earlier ones', 280, [100, 200, 300], 2],
  ['within a grain, as at its beginning: what is in doubt came later', 110, [100, 105, 130, 300], 0],
  ['a grain later, all of it', 164, [100, 105, 130, 300], 3],
])('%s', (_what, moment, times, held) => {
  expect(heldAt(moment, times)).toBe(held)
})

test('within its second it is never more than a grain wrong, and forgets what is older', () => {
  const draw = seeded(4)
  const times: number[] = []
  for (let at = 0; at < 5_000; at += draw() * 40) times.push(at)
  const until = (moment: number): number => times.filter((at) => at <= moment).length
  for (let moment = 4_000; moment < 5_000; moment += 13) {
    expect(heldAt(moment, times)).toBeLessThanOrEqual(until(moment))
    expect(heldAt(moment, times)).toBeGreaterThanOrEqual(until(moment - 64))
  }
  expect(heldAt(0, times)).toBeGreaterThan(until(3_500))
})
