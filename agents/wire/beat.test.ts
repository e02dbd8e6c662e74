import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { lookWhenDue, startBeat } from './beat.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

test('what asks at a report’s time comes before what looks, whoever joined first; who left is not called', () => {
  const beat = startBeat()
  onTestFinished(() => beat.stop())
  const log: string[] = []
  const leave = beat.atSamples(() => log.push('look'))
  beat.atReports(() => log.push('ask'))
  vi.advanceTimersByTime(1_000)
  expect(log).toEqual(['look', 'ask', 'look', 'look', 'ask', 'look'])
  leave()
  vi.advanceTimersByTime(500)
  expect(log.slice(6)).toEqual(['ask'])
})

test.each<[string, { reading: boolean[]; due: boolean[] }, number[]]>([
  ['nobody is asked: when a report is due', { reading: [], due: [false, true, false, true] }, [1, 3]],
  ['servers were just asked: not before they answered', { reading: [false, true, false, true], due: [true, true, true, true] }, [0, 2]],
  ['a server hangs: at every second sample', { reading: [true, true, true, true], due: [true, true, true, true] }, [1, 3]],
])('when it looks: %s', (_, { reading, due }, looked) => {
  const beat = startBeat()
  onTestFinished(() => beat.stop())
  let sample = -1
  const looks: number[] = []
  beat.atSamples(() => void sample++)
  lookWhenDue(beat, { reading: () => reading[sample] ?? false, due: () => due[sample] ?? false, look: () => looks.push(sample) })
  vi.advanceTimersByTime(1_000)
  expect(looks).toEqual(looked)
})
