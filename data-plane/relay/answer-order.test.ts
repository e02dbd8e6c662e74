import { expect, test } from 'vitest'
import { type AnswerKind, AnswerOrder, type Turn } from './answer-order.ts'

const KINDS: Readonly<Record<string, AnswerKind>> = { o: 'in-order', d: 'decoupled', '?': 'asking' }

/** Requests by their kinds in the order in which they came; `left` are those whose answers are over. */
const mayAnswer = (requests: string, left: readonly number[] = []): number[] => {
  const order = new AnswerOrder()
  const turns = [...requests].map((letter, at): Turn => ({ id: String(at), kind: KINDS[letter] ?? 'asking' }))
  for (const turn of turns) order.join(turn)
  for (const at of left) order.leave(turns[at] as Turn)
  return turns.flatMap((turn, at) => (!left.includes(at) && order.mayAnswer(turn) ? [at] : []))
}

test.each([
  { requests: 'ooo', may: [0], why: 'the first in order' },
  { requests: 'ooo', left: [0], may: [1], why: 'the next when it is over' },
  { requests: 'ooo', left: [1], may: [0], why: 'nobody in front of the first, though one behind it is over' },
  { requests: 'dod', may: [0, 1, 2], why: 'decoupled ones at any time, and they hold nobody' },
  { requests: 'odo', may: [0, 1], why: 'decoupled ones past one in order' },
  { requests: '?o', may: [0], why: 'an unknown one in front, and nobody behind it' },
  { requests: 'o?d', may: [0, 2], why: 'an unknown one only in its turn' },
])('$requests without $left: $why', ({ requests, left, may }) => {
  expect(mayAnswer(requests, left)).toEqual(may)
})

test('what turns out to be decoupled lets the others past', () => {
  const order = new AnswerOrder()
  const [first, second]: [Turn, Turn] = [
    { id: '1', kind: 'asking' },
    { id: '2', kind: 'in-order' },
  ]
  order.join(first)
  order.join(second)
  expect(order.mayAnswer(second)).toBe(false)
  order.learn(first, 'decoupled')
  expect([order.mayAnswer(first), order.mayAnswer(second)]).toEqual([true, true])
})
