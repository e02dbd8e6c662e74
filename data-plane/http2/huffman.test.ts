import { expect, test } from 'vitest'
import { decodeHuffman, huffmanRoom } from './huffman.ts'

/** All bytes from 0 to 255 in order, as the Python package `hpack` codes them. */
const ALL_BYTES = [
  'ffc7fffd8fffffe2fffffe3fffffe4fffffe5fffffe6fffffe7fffffe8ffffeafffffff3fffffa7fffffabffffffdfffffebfffffecfffffedfffffe',
  'efffffefffffff0ffffff1ffffff2fffffffbfffffcffffffd3fffffd7fffffdbfffffdffffffe3fffffe7fffffebfffffed4fe3f9ffaffcabf1febf',
  'afefe7fdfd2cbb00089969b71d79fb9f7fff20ffbff3ff50ddbd7f061c58f265cd9f469d5af66dddbf871e5f9cff7ff7fffc3ff9ffe45fff4719242c',
  'b34e6e9d68a6a3d7dac426defe3cfaf7fffbfe7ffbffdffffffcfffe6ffff4bfff9ffffa3fffd3ffff53fffd5ffffb3fffeb7fffdaffffb7ffff73ff',
  'feeffffdeffffebffffbfffffd9ffffdbfffebffffe0ffffeeffffc3ffff8bffff1ffffe4fffee7fffb1ffff97fffd9ffffcdffff9fffffbffffdaff',
  'feeffff4ffffb7fffee7fffe8ffffd3fffdeffffd5fffeeffffbdffffe1fffdfffff7fffff5ffffecffff07fff87fffe0ffff17fffedffff87ffff77',
  'fffeffffeaffff8bfffe3ffff93ffff87fffcbffff37ffff1fffff83ffffe1fffebfffe3ffff3fffff2ffffa3ffffd9fffff17ffffc7fffff27ffffd',
  'efffffbffffff2fffff8fffffb7fff97fff8fffffe6fffffc1fffff87ffffe7fffffc5ffffe5fffe4ffff2fffffd1fffff4ffffffefffffe3fffffc9',
  'fffff97fffb3ffffcffffb7fffcdffff4ffff9ffffd1ffffcffffeaffffafffffddffffeffffff4fffff5fffffabffffa7ffffd7fffff9bffffecfff',
  'ffb7fffff3fffffe8fffffd3fffffabfffff5fffffff7ffffecfffffdbfffffbbfffff7ffffff0fffffbbf',
].join('')

const decode = (hex: string): Uint8Array | undefined => {
  const coded = Buffer.from(hex, 'hex')
  const target = new Uint8Array(huffmanRoom(coded.length))
  const length = decodeHuffman(coded, 0, coded.length, target)
  return length < 0 ? undefined : target.subarray(0, length)
}

const text = (hex: string): string | undefined => {
  const bytes = decode(hex)
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('latin1')
}

test('the strings of RFC 7541 C.4 and C.6 decode', () => {
  expect(text('f1e3c2e5f23a6ba0ab90f4ff')).toBe('www.example.com')
  expect(text('a8eb10649cbf')).toBe('no-cache')
  expect(text('d07abe941054d444a8200595040b8166e082a62d1bff')).toBe('Mon, 21 Oct 2013 20:13:21 GMT')
  expect(text('94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007')).toBe(
    'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
  )
})

test('every byte has its code', () => {
  expect(decode(ALL_BYTES)).toEqual(Uint8Array.from({ length: 256 }, (_, byte) => byte))
})

test('nothing decodes to nothing', () => {
  expect(text('')).toBe('')
})

test.each([
  ['no padding', 'f8', '&'],
  ['one bit', 'c7', 'H'],
  ['three bits', '1f', 'a'],
  ['seven bits', '002e7f', '00:'],
])('a text may end with %s of ones', (_, hex, expected) => {
  expect(text(hex)).toBe(expected)
})

test.each([
  ['eight bits of padding', '1fff'],
  ['a whole byte of padding', 'ff'],
  ['a byte of padding behind a text that fills its own', 'f8ff'],
  ['padding with a zero', 'c6'],
  ['padding of zeros only', '00'],
  ['half a long code', 'fffffe'],
  ['EOS alone', 'fffffffc'],
  ['EOS and its padding', 'ffffffff'],
  ['EOS in front of a text', 'fffffffc1f'],
  ['EOS between texts', '1fffffffff1f'],
])('%s is illegal', (_, hex) => {
  expect(decode(hex)).toBeUndefined()
})

test('only the part between start and end is read', () => {
  const coded = Buffer.from('ffffa8eb10649cbfffff', 'hex')
  const target = new Uint8Array(huffmanRoom(6))
  expect(decodeHuffman(coded, 2, 8, target)).toBe(8)
})
