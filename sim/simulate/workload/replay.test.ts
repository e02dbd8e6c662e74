import { expect, test } from 'vitest'
import { millis } from '../../../core/units.ts'
import { seededDraw } from '../../model-server/queue.ts'
import { parseRecords, replay } from './replay.ts'

const decision = (at: number, messages: number, bytes: number, attempt = 1): string =>
  JSON.stringify({
    proxy: 'p',
    decision: {
      at_unix_ms: String(at),
      trace_id: '',
      attempt,
      endpoint_id: 'a/b',
      choice: { model: 'm', policy: 'LEAST_WAIT' },
      end: { outcome: 'success', first_byte_ms: 20, total_ms: 90, messages, request_bytes: String(bytes) },
    },
  })

test('recorded requests come at the rate that is asked for, with their sizes and their rhythm, over and over', () => {
  const lines = [
    decision(1_000, 30, 400),
    '{"proxy":"p","now":{}}',
    decision(4_000, 10, 4_000),
    decision(2_000, 1, 40),
    decision(2_500, 9, 9, 2),
  ]
  const records = parseRecords(lines.join('\n'), 'x.jsonl')
  expect(records.map(({ promptTokens, outputTokens }) => [promptTokens, outputTokens])).toEqual([
    [100, 30],
    [10, undefined],
    [1_000, 10],
  ])
  const traffic = replay(records, { median: 50, sigma: 0, max: 100 }, 2, millis(100), seededDraw(1))
  const arrivals = Array.from({ length: 7 }, () => traffic.next())
  expect(arrivals.map(({ at }) => Math.round(at))).toEqual([100, 433, 1_100, 1_600, 1_933, 2_600, 3_100])
  expect(arrivals.map(({ outputTokens }) => outputTokens)).toEqual([30, 50, 10, 30, 50, 10, 30])
})

test.each([
  ['{"decision":', /^x\.jsonl:1: /],
  ['\n{"decision":{"attempt":1}}', /^x\.jsonl:2: .*not a line of millrace admin explain --json/],
  [decision(1, 1, 1), /wants two decisions or more/],
])('what cannot be replayed is refused with its line: %#', (text, complaint) => {
  expect(() => parseRecords(text, 'x.jsonl')).toThrow(complaint)
})
