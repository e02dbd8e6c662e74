import { expect, test } from 'vitest'
import { seededDraw } from '../../model-server/queue.ts'
import { Timeline } from './timeline.ts'

test('moments come up in the order of their time, and those of one time as they were planned', () => {
  const timeline = new Timeline()
  const draw = seededDraw(1)
  const planned = Array.from({ length: 5_000 }, (_, who) => ({ at: Math.floor(draw() * 500), who }))
  for (const { at, who } of planned) timeline.plan(at, who % 7, who)
  const expected = planned.toSorted((a, b) => a.at - b.at || a.who - b.who)
  const seen: { at: number; who: number }[] = []
  while (timeline.next()) {
    expect(timeline.kind).toBe(timeline.who % 7)
    seen.push({ at: timeline.now, who: timeline.who })
  }
  expect(seen).toEqual(expected)
})

test('what is planned for the past comes up next, and time does not go back', () => {
  const timeline = new Timeline()
  timeline.plan(10, 0, 1)
  timeline.next()
  timeline.plan(20, 0, 2)
  timeline.plan(5, 0, 3)
  timeline.next()
  expect([timeline.who, timeline.now]).toEqual([3, 10])
})
