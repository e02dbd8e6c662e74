import { expect, test } from 'vitest'
import { type HeaderField, valueText } from './header-field.ts'
import { type DecodeResult, HpackDecoder } from './hpack-decoder.ts'

const LIMITS = { listSizeMax: 32_768, fieldsMax: 128 }
const newDecoder = (tableSizeMax = 4096, limits = LIMITS) => new HpackDecoder(tableSizeMax, limits)

/** Text between quotes as its bytes, all else as hex. */
const bytes = (text: string): Uint8Array =>
  Buffer.concat(
    text.split("'").map((part, i) => Buffer.from(i % 2 === 1 ? part : part.replaceAll(' ', ''), i % 2 === 1 ? 'latin1' : 'hex')),
  )

const lines = (fields: readonly HeaderField[]): string[] => fields.map((field) => `${field.name}: ${valueText(field)}`)

function decode(decoder: HpackDecoder, text: string): readonly string[] | Exclude<DecodeResult, 'ok'> {
  const block = bytes(text)
  const out: HeaderField[] = []
  const result = decoder.decode(block, 0, block.length, out)
  return result === 'ok' ? lines(out) : result
}

/** The dynamic table, newest first, as far as references reach. */
function tableOf(decoder: HpackDecoder): string[] {
  const found: string[] = []
  for (let index = 62; ; index++) {
    const field = decode(decoder, index < 127 ? (0x80 | index).toString(16) : `ff ${(index - 127).toString(16).padStart(2, '0')}`)
    if (typeof field === 'string') return found
    found.push(...field)
  }
}

type Step = { readonly block: string; readonly fields: readonly string[]; readonly table: readonly string[] }

const REQUESTS: readonly Omit<Step, 'block'>[] = [
  {
    fields: [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com'],
    table: [':authority: www.example.com'],
  },
  {
    fields: [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com', 'cache-control: no-cache'],
    table: ['cache-control: no-cache', ':authority: www.example.com'],
  },
  {
    fields: [':method: GET', ':scheme: https', ':path: /index.html', ':authority: www.example.com', 'custom-key: custom-value'],
    table: ['custom-key: custom-value', 'cache-control: no-cache', ':authority: www.example.com'],
  },
]

const AT_21 = 'date: Mon, 21 Oct 2013 20:13:21 GMT'
const AT_22 = 'date: Mon, 21 Oct 2013 20:13:22 GMT'
const COOKIE = 'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'
const LOCATION = 'location: https://www.example.com'
const PRIVATE = 'cache-control: private'

const RESPONSES: readonly Omit<Step, 'block'>[] = [
  { fields: [':status: 302', PRIVATE, AT_21, LOCATION], table: [LOCATION, AT_21, PRIVATE, ':status: 302'] },
  { fields: [':status: 307', PRIVATE, AT_21, LOCATION], table: [':status: 307', LOCATION, AT_21, PRIVATE] },
  {
    fields: [':status: 200', PRIVATE, AT_22, LOCATION, 'content-encoding: gzip', COOKIE],
    table: [COOKIE, 'content-encoding: gzip', AT_22],
  },
]

const withBlocks = (steps: readonly Omit<Step, 'block'>[], blocks: readonly string[]): Step[] =>
  steps.map((step, i) => ({ ...step, block: blocks[i] ?? '' }))

test.each<[string, number, readonly Step[]]>([
  [
    'C.2.1',
    4096,
    [{ block: "40 0a 'custom-key' 0d 'custom-header'", fields: ['custom-key: custom-header'], table: ['custom-key: custom-header'] }],
  ],
  ['C.2.2', 4096, [{ block: "04 0c '/sample/path'", fields: [':path: /sample/path'], table: [] }]],
  ['C.2.3', 4096, [{ block: "10 08 'password' 06 'secret'", fields: ['password: secret'], table: [] }]],
  ['C.2.4', 4096, [{ block: '82', fields: [':method: GET'], table: [] }]],
  [
    'C.3, requests',
    4096,
    withBlocks(REQUESTS, ["82868441 0f 'www.example.com'", "828684be 58 08 'no-cache'", "828785bf 40 0a 'custom-key' 0c 'custom-value'"]),
  ],
  [
    'C.4, requests in Huffman code',
    4096,
    withBlocks(REQUESTS, [
      '828684418cf1e3c2e5f23a6ba0ab90f4ff',
      '828684be5886a8eb10649cbf',
      '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
    ]),
  ],
  [
    'C.5, responses in a table of 256',
    256,
    withBlocks(RESPONSES, [
      "48 03 '302' 58 07 'private' 61 1d 'Mon, 21 Oct 2013 20:13:21 GMT' 6e 17 'https://www.example.com'",
      "48 03 '307' c1 c0 bf",
      "88 c1 61 1d 'Mon, 21 Oct 2013 20:13:22 GMT' c0 5a 04 'gzip' 77 38 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'",
    ]),
  ],
  [
    'C.6, responses in Huffman code in a table of 256',
    256,
    withBlocks(RESPONSES, [
      '488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3',
      '4883640effc1c0bf',
      `88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab27
       0fb5291f9587316065c003ed4ee5b1063d5007`.replace(/\s/g, ''),
    ]),
  ],
])('RFC 7541 %s', (_, tableSize, steps) => {
  const decoder = newDecoder(tableSize)
  for (const { block, fields, table } of steps) {
    expect(decode(decoder, block)).toEqual(fields)
    expect(tableOf(decoder)).toEqual(table)
  }
})

test.each([
  ['index 0', '80'],
  ['an index behind the static table while nothing else is there', 'be'],
  ['an index far out', 'ff ff ff ff 07'],
  ['a name index behind both tables, to be indexed', "7e 01 'v'"],
  ['a name index behind both tables, not indexed', "0f 2f 01 'v'"],
  ['an index of 2^31', 'ff 81 ff ff ff 07'],
  ['an integer of six continuation bytes', 'ff 80 80 80 80 80 00'],
  ['an integer that never ends', 'ff ff ff ff ff ff ff ff ff'],
  ['an index cut off', 'ff'],
  ['an index cut off later', 'ff 80'],
  ['a literal without its name', '40'],
  ['a name cut off', "40 05 'nam'"],
  ['a name without a value', "40 04 'name'"],
  ['a value cut off', "40 04 'name' 05 'valu'"],
  ['a value whose length is cut off', "40 04 'name' 7f"],
  ['a value of almost 2^31 bytes', "40 04 'name' 7f 80 ff ff ff 07 'v'"],
  ['a Huffman value cut off', "40 04 'name' 82 1f"],
  ['a Huffman name with eight bits of padding', "40 82 1f ff 01 'v'"],
  ['a Huffman value with zeros as padding', '50 81 18'],
  ['EOS in a Huffman value', '50 84 ff ff ff ff'],
  ['a size update behind a field', '82 20'],
  ['a size update above ours', '3f e2 1f'],
  ['a size update cut off', '3f'],
  ['a size update of an endless number', '3f ff ff ff ff ff ff'],
])('%s is broken', (_, block) => {
  expect(decode(newDecoder(), block)).toBe('broken')
})

test('a reference reaches exactly to the oldest entry', () => {
  const decoder = newDecoder()
  decode(decoder, "40 01 'a' 01 '1' 40 01 'b' 01 '2'")
  expect(decode(decoder, 'be bf')).toEqual(['b: 2', 'a: 1'])
  expect(decode(decoder, 'c0')).toBe('broken')
})

test.each([
  ['an empty name', "40 00 01 'v'"],
  ['a capital in a name', "40 01 'X' 01 'v'"],
  ['a colon inside a name', "40 03 'x:y' 01 'v'"],
  ['a blank in a name', "40 03 'x y' 01 'v'"],
  ['a newline in a name', "40 01 0a 01 'v'"],
  ['a byte beyond ASCII in a name', "40 01 e9 01 'v'"],
  ['a zero byte in a value', '40 01 78 03 61 00 62'],
  ['a carriage return in a value', '40 01 78 03 61 0d 62'],
  ['a newline in a value', '40 01 78 03 61 0a 62'],
  ['another control in a value', '40 01 78 03 61 01 62'],
  ['DEL in a value', '40 01 78 03 61 7f 62'],
  ['a newline in a Huffman value', '40 01 78 84 ff ff ff f3'],
  ['a blank before a value', "40 01 'x' 02 ' v'"],
  ['a blank behind a value', "40 01 'x' 02 'v '"],
  ['a tab before a value', "40 01 'x' 02 09 'v'"],
  ['nothing but a blank as value', "40 01 'x' 01 20"],
  ['a blank in a path', "44 04 '/a b'"],
  ['a byte beyond ASCII in an authority', '41 02 61 e9'],
])('%s is malformed, and the table counts the field all the same', (_, block) => {
  const decoder = newDecoder()
  expect(decode(decoder, `${block} 40 01 'y' 01 '2'`)).toBe('malformed')
  expect(decode(decoder, 'be')).toEqual(['y: 2'])
  expect(decode(decoder, 'bf')).toBe('malformed')
  expect(decode(decoder, 'c0')).toBe('broken')
})

test('a literal that takes its name from a malformed entry is malformed when the name is', () => {
  const decoder = newDecoder()
  expect(decode(decoder, "40 01 'X' 01 'v'")).toBe('malformed')
  expect(decode(decoder, "7e 01 'w'")).toBe('malformed')
  expect(decode(decoder, "40 01 'x' 02 ' v'")).toBe('malformed')
  expect(decode(decoder, "7e 01 'w'")).toEqual(['x: w'])
})

test.each([
  ['a blank and a tab inside', "40 01 'x' 05 'a b' 09 'c'", 'x: a b\tc'],
  ['bytes beyond ASCII', '40 01 78 02 c3 a9', 'x: \u00c3\u00a9'],
  ['no bytes', "40 01 'x' 00", 'x: '],
  ['no bytes in Huffman code', "40 01 'x' 80", 'x: '],
  ['what a pseudo field may hold', "44 05 '/a?%~'", ':path: /a?%~'],
])('a value with %s is fine', (_, block, expected) => {
  expect(decode(newDecoder(), block)).toEqual([expected])
})

test('a head above the limits is too large, and the table is what its sender thinks', () => {
  const decoder = newDecoder(4096, { listSizeMax: 100, fieldsMax: 3 })
  expect(decode(decoder, "40 01 'a' 11 '12345678901234567' 40 01 'b' 11 '12345678901234567'")).toEqual([
    'a: 12345678901234567',
    'b: 12345678901234567',
  ])
  expect(decode(decoder, "bf be 40 01 'c' 00")).toBe('too-large')
  expect(decode(decoder, 'be')).toEqual(['c: '])
  expect(decode(decoder, "40 01 'd' 01 '1' 40 01 'e' 00")).toEqual(['d: 1', 'e: '])
  expect(decode(decoder, '00 01 61 00 00 01 62 00 00 01 63 00 00 01 64 00')).toBe('too-large')
  expect(decode(decoder, 'bf be')).toEqual(['d: 1', 'e: '])
})

test('the number of fields has a bound of its own', () => {
  const decoder = newDecoder(4096, { listSizeMax: 32_768, fieldsMax: 3 })
  expect(decode(decoder, '82 82 82')).toHaveLength(3)
  expect(decode(decoder, '82 82 82 82')).toBe('too-large')
})

test('no more is handed out than fits, however often a large entry is referred to', () => {
  const decoder = newDecoder()
  const large = `40 01 'x' 7f a1 1e '${'v'.repeat(4000)}'`
  const out: HeaderField[] = []
  const block = bytes(large + 'be'.repeat(16_000))
  expect(decoder.decode(block, 0, block.length, out)).toBe('too-large')
  expect(out).toHaveLength(8)
})

test('a long name that is referred to often is in memory once', () => {
  const decoder = newDecoder(4096, { listSizeMax: 1e6, fieldsMax: 1e3 })
  const block = bytes(`40 7f 81 1e '${'n'.repeat(3968)}' 00${'0f 2f 00'.repeat(200)}`)
  const out: HeaderField[] = []
  expect(decoder.decode(block, 0, block.length, out)).toBe('ok')
  expect(new Set(out.map((field) => field.prefix)).size).toBe(1)
  expect(out.reduce((sum, field) => sum + field.restEnd - field.restAt, 0)).toBe(201)
})

test('malformed wins over too large, broken over both', () => {
  const limits = { listSizeMax: 40, fieldsMax: 1 }
  expect(decode(newDecoder(4096, limits), "82 00 01 'X' 00")).toBe('malformed')
  expect(decode(newDecoder(4096, limits), "82 00 01 'X' 00 80")).toBe('broken')
})

test('the size of the table follows its updates', () => {
  const decoder = newDecoder()
  decode(decoder, "40 01 'a' 01 '1' 40 01 'b' 01 '2' 40 01 'c' 01 '3'")
  expect(decode(decoder, '3f 25 be bf')).toEqual(['c: 3', 'b: 2']) // 68: two entries of 34
  expect(tableOf(decoder)).toEqual(['c: 3', 'b: 2'])
  expect(decode(decoder, '20 3f e1 1f')).toEqual([]) // to 0 and up to 4096 again, as after a changed setting
  expect(tableOf(decoder)).toEqual([])
  decode(decoder, "40 01 'd' 01 '4'")
  expect(tableOf(decoder)).toEqual(['d: 4'])
})

test('an entry larger than the table empties it, and its own field is whole', () => {
  const decoder = newDecoder(64)
  decode(decoder, "40 01 'a' 01 '1'")
  expect(decode(decoder, `7e 40 '${'v'.repeat(64)}'`)).toEqual([`a: ${'v'.repeat(64)}`])
  expect(tableOf(decoder)).toEqual([])
})

test('an entry may take its name from the entry that it evicts', () => {
  const decoder = newDecoder(40)
  decode(decoder, "40 04 'name' 04 'once'")
  expect(decode(decoder, "7e 04 'more'")).toEqual(['name: more'])
  expect(tableOf(decoder)).toEqual(['name: more'])
})

test('an indexed entry comes again as the same object', () => {
  const decoder = newDecoder()
  const first: HeaderField[] = []
  const second: HeaderField[] = []
  decoder.decode(bytes("83 40 01 'a' 01 '1'"), 0, 7, first)
  decoder.decode(bytes('83 be'), 0, 2, second)
  expect(second[0]).toBe(first[0])
  expect(second[1]).toBe(first[1])
})

test('fields outlive the bytes that they came in', () => {
  const decoder = newDecoder()
  const block = bytes("40 04 'name' 05 'value' 00 05 'other' 04 'text'")
  const out: HeaderField[] = []
  decoder.decode(block, 0, block.length, out)
  block.fill(0)
  for (let i = 0; i < 1_000; i++) decode(decoder, "40 04 'more' 04 'text'")
  expect(lines(out)).toEqual(['name: value', 'other: text'])
  expect(out.map((field) => Buffer.from(field.wire).toString('latin1'))).toEqual(['\0\x04name\x05value', '\0\x05other\x04text'])
})

test.each([
  ["82 40 01 'x' 01 'v'", "82 00 01 'x' 01 'v'"],
  ["10 01 'x' 01 'v'", "10 01 'x' 01 'v'"],
  ["1f 08 01 'k'", "1f 08 01 'k'"],
  ["13 04 'POST'", "12 04 'POST'"],
  ["03 04 'POST'", '83'],
  ["43 04 'POST'", '83'],
  ["00 07 ':method' 03 'GET'", '82'],
  ['50 81 1f', "0f 01 01 'a'"],
])('what comes as %s goes on as %s', (block, wire) => {
  const out: HeaderField[] = []
  const read = bytes(block)
  expect(newDecoder().decode(read, 0, read.length, out)).toBe('ok')
  expect(Buffer.concat(out.map((field) => field.wire))).toEqual(bytes(wire))
})

test('only the bytes between start and end are read', () => {
  const out: HeaderField[] = []
  expect(newDecoder().decode(bytes('80 82 80'), 1, 2, out)).toBe('ok')
  expect(lines(out)).toEqual([':method: GET'])
  expect(newDecoder().decode(bytes("82 04 04 '/abc'"), 1, 6, [])).toBe('broken')
})
