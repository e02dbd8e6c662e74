import { expect, test } from 'vitest'
import { type Millis, millis } from '../../core/units.ts'
import { type Evidence, firstLiveness, type Liveness, stepLiveness } from './liveness.ts'

const SAID: Readonly<Record<string, Evidence>> = {
  ready: { health: 'ready' },
  starting: { health: 'starting', reason: 'loads' },
  failed: { health: 'failed', reason: 'probe' },
  unknown: { health: 'unknown' },
}

function play(words: string, warm = false): Liveness[] {
  const told: Liveness[] = []
  for (const [at, word] of words.split(' ').entries()) {
    const evidence = SAID[word] ?? { health: 'unknown' }
    const before = told.at(-1)
    const now: Millis = millis(at)
    told.push(before === undefined ? firstLiveness(evidence, warm, now) : stepLiveness(before, evidence, now))
  }
  return told
}
const states = (words: string): string =>
  play(words)
    .map(({ state }) => state)
    .join(' ')

test.each([
  ['starting ready ready', 'starting ready ready'],
  ['ready failed failed ready ready', 'ready failed failed probation ready'],
  ['failed ready failed ready ready', 'failed probation failed probation ready'],
  ['failed starting ready ready', 'failed starting probation ready'],
  ['failed starting starting ready ready', 'failed starting starting probation ready'],
  ['failed ready starting ready', 'failed probation starting probation'],
  ['ready unknown unknown', 'ready ready ready'],
  ['failed unknown ready unknown ready', 'failed failed probation probation ready'],
  ['unknown ready', 'starting ready'],
])('%s is seen as %s', (said, seen) => {
  expect(states(said)).toBe(seen)
})

test('whoever becomes ready anew warms up from that moment', () => {
  expect(play('starting ready ready').at(-1)).toEqual({ state: 'ready', warmingSince: 1 })
  expect(play('failed ready ready').at(-1)).toEqual({ state: 'ready', warmingSince: 2 })
  expect(play('ready').at(-1)).toEqual({ state: 'ready', warmingSince: 0 })
})

test('a fleet that was ready before the control plane started does not warm up', () => {
  expect(play('ready ready', true).at(-1)).toEqual({ state: 'ready' })
  expect(play('ready failed ready ready', true).at(-1)).toEqual({ state: 'ready', warmingSince: 3 })
})
