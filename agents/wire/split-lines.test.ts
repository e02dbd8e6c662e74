import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { splitLines } from './split-lines.ts'

async function linesOf(...chunks: (string | Buffer)[]): Promise<string[]> {
  const stream = new PassThrough()
  const lines: string[] = []
  splitLines(stream, (line) => lines.push(line))
  for (const chunk of chunks) stream.write(chunk)
  stream.end()
  await new Promise((resolve) => stream.once('close', resolve))
  return lines
}

test('a line is whole wherever the reads were cut, and the last one needs no end', async () => {
  expect(await linesOf('a', 'b\nc', 'd\n\ne')).toEqual(['ab', 'cd', 'e'])
})

test('a letter cut in two is not torn', async () => {
  const bytes = Buffer.from('Ö\n')
  expect(await linesOf(bytes.subarray(0, 1), bytes.subarray(1))).toEqual(['Ö'])
})

test('a line without end is dropped and the one after it is read', async () => {
  const part = 'x'.repeat(limits.smiLineMax / 2)
  expect(await linesOf(part, part, part, part, '\nnext\n')).toEqual(['next'])
})
