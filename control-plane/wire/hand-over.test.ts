import { expect, test } from 'vitest'
import { HAND_OVER_MS, HandOver } from './hand-over.ts'

/** Each write takes a tenth of a millisecond. */
function stage() {
  let now = 0
  const written: string[] = []
  const turns: (() => void)[] = []
  const handOver = new HandOver({
    write(stream, message) {
      now += 0.1
      written.push(`${message}${stream}`)
    },
    now: () => now,
    nextTurn: (act) => void turns.push(act),
  })
  return { handOver, written, turn: () => turns.shift()?.(), left: () => turns.length }
}
const streams = (count: number): number[] => Array.from({ length: count }, (_, at) => at)

test('a few streams are told at once', () => {
  const { handOver, written, left } = stage()
  handOver.add({ streams: [1, 2], bytes: Buffer.from('a') })
  handOver.add({ streams: [2], bytes: Buffer.from('b') })
  handOver.hand()
  expect([written, handOver.busy, left()]).toEqual([['a1', 'a2', 'b2'], false, 0])
})

test('many are told over several turns, each of them short, in order and everything once', () => {
  const { handOver, written, turn, left } = stage()
  handOver.add({ streams: streams(200), bytes: Buffer.from('a') })
  handOver.add({ streams: [7], bytes: Buffer.from('b') })
  handOver.hand()
  const turns = [written.length]
  while (left() > 0) {
    expect(handOver.busy).toBe(true)
    const before = written.length
    turn()
    turns.push(written.length - before)
  }
  expect(Math.max(...turns) * 0.1).toBeLessThan(2 * HAND_OVER_MS)
  expect(written).toEqual([...streams(200).map((stream) => `a${stream}`), 'b7'])
  expect([handOver.busy, Math.round(handOver.spentMs)]).toEqual([false, 20])
})

test('what is dropped is told to nobody', () => {
  const { handOver, written, turn } = stage()
  handOver.add({ streams: streams(200), bytes: Buffer.from('a') })
  handOver.hand()
  handOver.drop()
  const before = written.length
  turn()
  expect([written.length, handOver.busy]).toEqual([before, false])
})
