import { expect, test } from 'vitest'
import { shortText } from './short-text.ts'

test('names that come in one Buffer, each over the one before, stay apart', () => {
  const reads = Buffer.alloc(64)
  const names = Array.from({ length: 2_000 }, (_, i) => `model-${String(i).padStart(4, '0')}`)
  const read = (name: string): string => {
    reads.write(name)
    return shortText(reads, 0, name.length)
  }
  for (const name of [...names, ...names]) expect(read(name)).toBe(name)
})

test('a name that comes again is the same text', () => {
  expect([1, 2].map(() => shortText(Buffer.from('llm'), 0, 3))).toEqual(['llm', 'llm'])
})
