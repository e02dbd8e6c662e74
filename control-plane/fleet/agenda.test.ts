import { expect, test } from 'vitest'
import { millis } from '../../core/units.ts'
import { Agenda } from './agenda.ts'

test('a look comes when it is due or a slot later, once, and an earlier date wins', () => {
  const agenda = new Agenda(millis(0))
  agenda.lookBy('a', millis(1_000))
  agenda.lookBy('b', millis(1_000))
  agenda.lookBy('b', millis(300))
  agenda.lookBy('b', millis(2_000))
  expect(agenda.takeDue(millis(299))).toEqual([])
  expect(agenda.takeDue(millis(350))).toEqual(['b'])
  expect(agenda.takeDue(millis(1_050))).toEqual(['a'])
  expect(agenda.takeDue(millis(9_000))).toEqual([])
})

test('a date in the past is due at once, not never', () => {
  const agenda = new Agenda(millis(5_000))
  agenda.lookBy('a', millis(0))
  expect(agenda.takeDue(millis(5_050))).toEqual(['a'])
})

test('who was looked at and comes back to a slot where it stood before is looked at once', () => {
  const agenda = new Agenda(millis(0))
  agenda.lookBy('a', millis(1_000))
  agenda.lookBy('a', millis(300))
  expect(agenda.takeDue(millis(350))).toEqual(['a'])
  agenda.lookBy('a', millis(1_000))
  expect(agenda.takeDue(millis(2_000))).toEqual(['a'])
})

test('who is forgotten is not looked at', () => {
  const agenda = new Agenda(millis(0))
  agenda.lookBy('a', millis(300))
  agenda.forget('a')
  expect(agenda.takeDue(millis(1_000))).toEqual([])
})
