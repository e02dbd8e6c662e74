import { expect, test } from 'vitest'
import { Pace } from './pace.ts'

const paceOf = (capacity: number, ...loads: Parameters<Pace['note']>[0][]): number | undefined => {
  const pace = new Pace()
  for (const load of loads) for (let i = 0; i < 40; i++) pace.note(load, capacity, 500)
  return pace.perSecond
}

test.each([
  ['a full server shows it', 0, { queueDepth: 3, running: 4, requestsPerSecond: 8 }, 8],
  ['one that is half full would do twice as much', 8, { queueDepth: 0, running: 4, requestsPerSecond: 4 }, 8],
  ['one with more running than places is full', 2, { queueDepth: 0, running: 4, requestsPerSecond: 4 }, 4],
  [
    'one that does not tell its places, and in which nobody waits, shows nothing',
    0,
    { queueDepth: 0, running: 4, requestsPerSecond: 4 },
    undefined,
  ],
  ['an idle one shows nothing', 8, { queueDepth: 0, running: 0, requestsPerSecond: 0 }, undefined],
  ['one that has finished few shows nothing yet', 8, { queueDepth: 1, running: 8, requestsPerSecond: 0.1 }, undefined],
  ['one that does not tell what it finishes shows nothing', 8, { queueDepth: 1, running: 8 }, undefined],
])('%s', (_what, capacity, load, pace) => {
  if (pace === undefined) expect(paceOf(capacity, load)).toBeUndefined()
  else expect(paceOf(capacity, load)).toBeCloseTo(pace, 9)
})

test('idle times in between do not make a server look slow, and what was long ago fades', () => {
  const busy = { queueDepth: 1, running: 8, requestsPerSecond: 8 }
  const idle = { queueDepth: 0, running: 0, requestsPerSecond: 0 }
  expect(paceOf(8, busy, idle)).toBeCloseTo(8, 9)
  const slower = { ...busy, requestsPerSecond: 2 }
  expect(paceOf(8, busy, ...Array.from({ length: 20 }, () => slower))).toBeLessThan(2.2)
})
