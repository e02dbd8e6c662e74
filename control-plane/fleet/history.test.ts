import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { History, type StateChange } from './history.ts'

const change = (node: string, at: number): StateChange => ({ at: millis(at), node, endpoint: '', from: '', to: '', reason: '' })
const times = (history: History, node: string): readonly number[] => history.of(node).map(({ at }) => at)

test('of all nodes together so many changes are remembered; the oldest goes, whosever it is', () => {
  const history = new History(millis(0))
  history.note(change('old', 0))
  history.note(change('old', 1))
  for (let at = 2; at < limits.changesMax + 1; at++) history.note(change(`n${at}`, at))
  expect([times(history, 'old'), history.size]).toEqual([[1], limits.changesMax])
  history.note(change('new', limits.changesMax + 1))
  expect([times(history, 'old'), times(history, 'n2'), history.size]).toEqual([[], [2], limits.changesMax])
  expect(['old', 'n2', 'never'].map((node) => history.since(node))).toEqual([1, 1, 1])
})

test('a node that changes all the time costs only its own past', () => {
  const history = new History(millis(0))
  history.note(change('quiet', 0))
  for (let at = 1; at < limits.changesMax; at++) history.note(change('loud', at))
  expect([times(history, 'quiet'), times(history, 'loud').length]).toEqual([[0], limits.changesPerNodeMax])
  expect([history.since('quiet'), history.since('loud')]).toEqual([0, limits.changesMax - limits.changesPerNodeMax])
  for (let at = 0; at < limits.changesMax; at++) history.note(change('louder', at))
  expect(history.size).toBe(limits.changesPerNodeMax)
})

test('who comes between a change and its telling begins with what was told before', () => {
  const history = new History(millis(0))
  history.note(change('a', 1))
  history.takeUntold()
  history.note(change('a', 2))
  expect([times(history, 'a'), history.toldOf('a').map(({ at }) => at)]).toEqual([[1, 2], [1]])
  expect(history.takeUntold().map(({ at }) => at)).toEqual([2])
  expect(history.toldOf('a').map(({ at }) => at)).toEqual([1, 2])
})

test('what is new is told once; above a bound it is counted instead', () => {
  const history = new History(millis(0))
  for (let at = 0; at < limits.changesPerTickMax + 5; at++) history.note(change('a', at))
  expect(history.takeUntold()).toHaveLength(limits.changesPerTickMax)
  expect([history.takeUntold(), history.counts.untold]).toEqual([[], 5])
})
