import { expect, test } from 'vitest'
import { parseIntent, writeIntent } from './intent.ts'

test('an intent reads as it was written', () => {
  const intent = { want: 'drain', reason: 'new fans', at: '2026-01-02T03:04:05.000Z' } as const
  expect(parseIntent(writeIntent(intent))).toEqual(intent)
})

test.each(['', 'drain', '[]', 'null', '{"intent":"explode"}', '{"reason":"x"}'])('%s is no intent', (text) => {
  expect(parseIntent(text)).toBeUndefined()
})
