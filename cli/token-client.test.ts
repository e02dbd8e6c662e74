import { expect, test } from 'vitest'
import { MessageTimes } from './token-client.ts'

const message = (text: string): Buffer => {
  const body = Buffer.from(text)
  const head = Buffer.alloc(5)
  head.writeUInt32BE(body.length, 1)
  return Buffer.concat([head, body])
}

function read(chunks: readonly Buffer[]): string[] {
  const found: string[] = []
  const times = new MessageTimes((bytes) => void found.push(bytes.toString()))
  for (const chunk of chunks) times.take(chunk)
  return found
}

const bytes = Buffer.concat(['one', '', 'three', 'x'.repeat(700)].map(message))
const expected = ['one', '', 'three', 'x'.repeat(512)]

test('messages are counted wherever the reads cut them', () => {
  for (let size = 1; size <= bytes.length; size++) {
    const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size))
    expect(read(chunks), `reads of ${size}`).toEqual(expected)
  }
})

test('a message that is not whole yet is not told', () => {
  expect(read([bytes.subarray(0, 7)])).toEqual([])
  expect(read([bytes.subarray(0, 9), bytes.subarray(9, 13)])).toEqual(['one', ''])
})
