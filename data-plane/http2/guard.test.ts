import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { ClosedStreams } from './closed-streams.ts'
import { Purse } from './guard.ts'
import { Patience } from './patience.ts'
import { ERROR, FRAME } from './protocol.ts'

/** How many cheap frames are let through in a row. */
function cheapTaken(purse: Purse, most = 1_000_000): number {
  let taken = 0
  while (taken < most && purse.takeCheap(1)) taken++
  return taken
}

test('frames that carry nothing have a burst, and then a rate', () => {
  const purse = new Purse()
  expect(cheapTaken(purse)).toBe(limits.cheapFramesBurst)
  for (let second = 0; second < 3; second++) purse.everySecond()
  expect(cheapTaken(purse)).toBeLessThanOrEqual(3 * limits.cheapFramesPerSecond)
})

test('whoever is sent DATA may update a window and probe for each frame of it, for as long as it lasts', () => {
  const purse = new Purse()
  for (let frame = 0; frame < 1_000_000; frame++) {
    purse.earned += limits.cheapFramesPerFrame
    // The windows of stream and connection, a probe, and the acknowledgement of ours.
    expect(purse.takeCheap(4)).toBe(true)
  }
})

test('what was earned long ago is worth no more than a burst', () => {
  const purse = new Purse()
  purse.earned = 100 * limits.cheapFramesBurst
  purse.everySecond()
  expect(cheapTaken(purse)).toBe(limits.cheapFramesBurst)
})

test('an idle peer that pings every second is never held to anything', () => {
  const purse = new Purse()
  for (let second = 0; second < 100_000; second++) {
    expect(purse.takeCheap(1)).toBe(true)
    purse.everySecond()
  }
})

test('all streams that one client may have can be reset at once, again every ten seconds, and no more', () => {
  const purse = new Purse()
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < limits.downstreamStreamsMax; i++) expect(purse.takeReset()).toBe(true)
    for (let second = 0; second < limits.resetBurst / limits.resetsPerSecond; second++) purse.everySecond()
  }
  for (let i = 0; i < limits.resetBurst; i++) purse.takeReset()
  expect(purse.takeReset()).toBe(false)
})

test('a header block has its time, whatever comes of it meanwhile; the next one has its own', () => {
  const patience = new Patience()
  const seconds = limits.headersTimeout / 1_000
  const wait = (settled: boolean, block: number, times: number): (string | undefined)[] =>
    Array.from({ length: times }, () => patience.everySecond(settled, block))
  expect(wait(true, 1, seconds).filter(Boolean)).toEqual([])
  expect(wait(true, 2, seconds + 1).filter(Boolean)).toEqual([])
  expect(patience.everySecond(true, 2)).toBe('slow-headers')
  expect(wait(true, 0, 1_000).filter(Boolean)).toEqual([])
})

test('SETTINGS have their time, too', () => {
  const patience = new Patience()
  for (let second = 0; second < limits.headersTimeout / 1_000; second++) expect(patience.everySecond(false, 0)).toBeUndefined()
  expect(patience.everySecond(false, 0)).toBe('slow-handshake')
})

test('only frames that a client cannot have had under way are held against it', () => {
  const closed = new ClosedStreams()
  closed.remember(1, true)
  closed.remember(5, false)
  const errors = (id: number): number[] => [closed.errorOf(id, FRAME.DATA), closed.errorOf(id, FRAME.HEADERS)]
  expect(errors(1)).toEqual([ERROR.STREAM_CLOSED, ERROR.STREAM_CLOSED])
  expect(errors(5)).toEqual([ERROR.NO_ERROR, ERROR.NO_ERROR])
  expect(errors(3)).toEqual([ERROR.STREAM_CLOSED, ERROR.PROTOCOL_ERROR])
  closed.peerReset(5)
  expect(errors(5)).toEqual([ERROR.STREAM_CLOSED, ERROR.STREAM_CLOSED])
  for (let id = 7; id < 1_000; id += 2) closed.remember(id, true)
  expect([...errors(1), ...errors(3)]).toEqual([ERROR.NO_ERROR, ERROR.NO_ERROR, ERROR.NO_ERROR, ERROR.NO_ERROR])
})
