import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { readDelta } from '../testing/read-delta.ts'
import { loadMessages } from './delta.ts'
import { LoadBatch } from './load-batch.ts'
import { loadRow } from './load-row.ts'
import { BUCKETS, bucketOf, bucketsEach, LoadShares } from './load-share.ts'

test.each<[endpoints: number, proxies: number, what: string, each: number]>([
  [0, 0, 'of nothing all', BUCKETS],
  [3, 1, 'of a small mesh all', BUCKETS],
  [10_000, 20, 'few proxies hear of all', BUCKETS],
  [200, 2_000, 'a small fleet is told whole', BUCKETS],
  [10_000, 400, 'the budget is shared', 16],
  [12_500, 1_000, 'and so on', 8],
  [1_000_000, 100, 'each endpoint has its hearers', 16],
])('%i endpoints, %i proxies: %s', (endpoints, proxies, _what, each) => {
  expect(bucketsEach(endpoints, proxies)).toBe(each)
})

test('the budget is kept within a factor of two, unless there would be too little to choose from', () => {
  for (const endpoints of [300, 1_000, 5_000, 20_000])
    for (const proxies of [1, 30, 100, 700, 2_000]) {
      const rows = (endpoints * bucketsEach(endpoints, proxies)) / BUCKETS
      const least = Math.max(limits.loadRowsMin, (limits.loadHearersMin * endpoints) / proxies)
      expect(rows).toBeLessThan(2 * Math.max(limits.loadRowsPerSecondMax / proxies, least))
      expect(rows).toBeGreaterThanOrEqual(Math.min(endpoints, least))
    }
})

test('every bucket is told to the same number of proxies, and rounds in a row do not cut the fleet the same way', () => {
  const shares = new LoadShares()
  const of = Array.from({ length: 80 }, (_, stream) => shares.of(shares.groupOf(stream, 8), 8))
  const told = new Array<number>(BUCKETS).fill(0)
  for (const bucket of of.flat()) told[bucket] = (told[bucket] ?? 0) + 1
  expect(new Set(told)).toEqual(new Set([10]))
  expect(new Set(of.map((buckets) => buckets.toSorted((a, b) => a - b).join())).size).toBe(32)
})

test('who stays keeps its share; who comes takes the place of one that went', () => {
  const shares = new LoadShares()
  const before = [1, 2, 3].map((stream) => shares.groupOf(stream, 4))
  shares.retain(
    new Map([
      [1, {}],
      [3, {}],
    ]),
  )
  expect([1, 3].map((stream) => shares.groupOf(stream, 4))).toEqual([before[0], before[2]])
  expect(shares.groupOf(9, 4)).toEqual(before[1])
})

test('ids lie evenly in their buckets', () => {
  const counts = new Array<number>(BUCKETS).fill(0)
  for (let node = 0; node < 6_400; node++) {
    const bucket = bucketOf(`gpu-host-${node}/triton`)
    counts[bucket] = (counts[bucket] ?? 0) + 1
  }
  expect(Math.min(...counts)).toBeGreaterThan(50)
  expect(Math.max(...counts)).toBeLessThan(200)
})

test('all shares of a round of proxies together are all loads, each once', () => {
  const updates = Array.from({ length: 3_000 }, (_, at) => loadRow(`n${at}/t`, { queueDepth: at }, 1))
  const batch = new LoadBatch(updates)
  const shares = new LoadShares()
  const told = Array.from({ length: 16 }, (_, stream) => loadMessages(batch.of(shares.of(shares.groupOf(stream, 4), 4)), 'v'))
    .flat()
    .flatMap((bytes) => readDelta(bytes)?.loads.map(({ endpointId }) => endpointId) ?? [])
  expect(told.toSorted()).toEqual(updates.map(({ endpointId }) => endpointId).toSorted())
  expect(batch.all().length).toBeLessThanOrEqual(8)
})
