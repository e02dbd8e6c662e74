import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { StateChange, type WatchChangesResponse } from '../../proto/gen/millrace/admin/v1/admin.ts'
import { ChangeWatchers } from './change-watchers.ts'

const change = (nodeId: string, reason: string) => StateChange.fromPartial({ nodeId, reason, atUnixMs: 1n })

/** A reader that takes in what it is written, or says that it is full. */
class Reader extends EventEmitter {
  readonly request: { nodeId: string }
  readonly messages: string[][] = []
  full = false
  ended = false

  constructor(nodeId: string) {
    super()
    this.request = { nodeId }
  }

  write({ changes }: WatchChangesResponse): boolean {
    this.messages.push(changes.map(({ reason }) => reason))
    return !this.full
  }

  end(): void {
    this.ended = true
  }
}

const watch = (watchers: ChangeWatchers, reader: Reader, remembered: readonly StateChange[] = []) =>
  watchers.add(reader as never, remembered)

test('of one node those remembered come first, then its own; of all, everything', () => {
  const watchers = new ChangeWatchers()
  const [one, all] = [new Reader('a'), new Reader('')]
  watch(watchers, one, [change('a', 'old')])
  watch(watchers, all)
  watchers.changed([change('a', 'new'), change('b', 'other')])
  expect([one.messages, all.messages]).toEqual([
    [['old'], ['new']],
    [[], ['new', 'other']],
  ])
})

test('a slow reader loses the oldest that wait, and is told how many', () => {
  const watchers = new ChangeWatchers()
  const reader = new Reader('')
  reader.full = true
  watch(watchers, reader)
  for (let at = 0; at < limits.changesWaitingMax + 3; at++) watchers.changed([change('a', `c${at}`)])
  expect(reader.messages).toEqual([[]])
  reader.emit('drain')
  expect(reader.messages[1]?.slice(0, 2)).toEqual(['3 changes before this one were left out: the reader is slow', 'c3'])
  expect([reader.messages[1]?.length, watchers.leftOut]).toEqual([limits.changesWaitingMax + 1, 3])
})

test('watches are bounded, and end with their reader or the plane', () => {
  const watchers = new ChangeWatchers()
  const readers = Array.from({ length: limits.watchersMax }, () => new Reader(''))
  for (const reader of readers) watch(watchers, reader)
  const oneMore = new Reader('')
  const refused: unknown[] = []
  oneMore.on('error', (error) => refused.push(error))
  watch(watchers, oneMore)
  expect(refused).toHaveLength(1)
  readers[0]?.emit('close')
  watchers.changed([change('a', 'x')])
  watchers.close()
  expect([readers[0]?.messages.length, readers[1]?.messages.length, readers[1]?.ended]).toEqual([1, 2, true])
})
