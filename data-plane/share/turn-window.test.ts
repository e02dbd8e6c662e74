import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { TurnWindow } from './turn-window.ts'

test('the worst turn is shown for one span at least and two at most', () => {
  const turns = new TurnWindow()
  const span = limits.turnSpan
  turns.note(millis(9), millis(span * 10 + 1))
  turns.note(millis(2), millis(span * 10 + 2))
  expect(turns.worst(millis(span * 10 + 3))).toBe(9)
  turns.note(millis(3), millis(span * 11 + 1))
  expect(turns.worst(millis(span * 12 - 1))).toBe(9)
  expect(turns.worst(millis(span * 12 + 1))).toBe(3)
  expect(turns.worst(millis(span * 14 + 1))).toBe(0)
  expect(turns.long, 'turns above the goal').toBe(1)
})
