import { expect, test } from 'vitest'
import { copyBytes, type Slab } from './copy-bytes.ts'

const MEMORY = 700
const UNTOUCHED = 0xee

/** Each byte tells where it came from; a view into the middle of its memory, as what Node hands on may be. */
function source(seed: number): Uint8Array {
  const bytes = new Uint8Array(new ArrayBuffer(MEMORY + 16), 5, MEMORY)
  return bytes.map((_, at) => (at * 7 + seed) & 0xff)
}

function slab(): Slab {
  const bytes = new Uint8Array(new ArrayBuffer(MEMORY + 16), 3, MEMORY).fill(UNTOUCHED)
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length) }
}

const LENGTHS = [...Array(260).keys(), 400, 600]

test.each<[string, readonly Uint8Array[]]>([
  ['one source', [source(1)]],
  ['two in turn', [source(1), source(2)]],
  ['one that comes again and again, and others between', [source(1), source(1), source(2), Buffer.from(source(3))]],
])('all bytes arrive, and no other is touched: %s', (_, sources) => {
  let turn = 0
  for (const length of LENGTHS)
    for (const start of [0, 1, 6])
      for (const at of [0, 1, 9]) {
        const from = sources[turn++ % sources.length] as Uint8Array
        const target = slab()
        copyBytes(from, start, start + length, target, at)
        const expected = new Uint8Array(MEMORY).fill(UNTOUCHED)
        expected.set(from.subarray(start, start + length), at)
        expect(Buffer.compare(target.bytes, expected), `${length} bytes from ${start} to ${at}`).toBe(0)
      }
})
