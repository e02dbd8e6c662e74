import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import type { StateChange } from '../fleet/history.ts'
import { ChangeLog } from './log-changes.ts'

const change: StateChange = { at: millis(0), node: 'a', endpoint: 'a/x', from: 'READY', to: 'FAILED', reason: 'refused' }

test('each change is a line, so many a second; the next line behind a gap says how many were left out', () => {
  const lines: unknown[][] = []
  let now = millis(0)
  const log = { info: (...words: unknown[]) => lines.push(words), warn: (...words: unknown[]) => lines.push(words) }
  const changes = new ChangeLog(log as never, { now: () => now })
  changes.write([change])
  expect(lines).toEqual([[{ endpoint: 'a/x', from: 'READY', to: 'FAILED', reason: 'refused' }, 'endpoint.changed']])
  changes.write(Array.from({ length: limits.changesLoggedBurst + 6 }, () => change))
  expect([lines.length, changes.leftOut]).toEqual([limits.changesLoggedBurst, 7])
  now = millis(1_000)
  changes.write([{ ...change, endpoint: '' }])
  expect(lines.slice(-2)).toEqual([
    [{ leftOut: 7 }, 'state.changes-not-logged'],
    [{ node: 'a', from: 'READY', to: 'FAILED', reason: 'refused' }, 'node.changed'],
  ])
})
