import { expect, test } from 'vitest'
import { blockLength, writeBlock } from './header-block.ts'
import { type HeaderField, headerField, STATIC_FIELDS, valueText } from './header-field.ts'
import { HpackDecoder } from './hpack-decoder.ts'
import { STATIC_COUNT, STATIC_ENTRIES } from './static-table.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const ascii = (text: string): string => Buffer.from(text, 'latin1').toString('hex')

function roundTrip(fields: readonly HeaderField[]): HeaderField[] {
  const target = new Uint8Array(blockLength(fields) + 10)
  const end = writeBlock(fields, target, 5)
  expect(end).toBe(5 + blockLength(fields))
  expect([target.subarray(0, 5), target.subarray(end)]).toEqual([new Uint8Array(5), new Uint8Array(5)])
  const out: HeaderField[] = []
  expect(new HpackDecoder(4096, { listSizeMax: 1e6, fieldsMax: 1e3 }).decode(target, 5, end, out)).toBe('ok')
  return out
}

test.each([
  ['of the static table', headerField(':method', 'POST'), '83'],
  ['of the static table, with no value', headerField('accept-charset', ''), '8f'],
  ['whose name alone is static', headerField(':path', '/a'), `0402${ascii('/a')}`],
  ['whose name has an index of two bytes', headerField('content-type', 'application/grpc'), `0f1010${ascii('application/grpc')}`],
  ['that is not static', headerField('te', 'trailers'), `0002${ascii('te')}08${ascii('trailers')}`],
  ['never indexed', headerField('authorization', 'key', true), `1f0803${ascii('key')}`],
  ['never indexed, not static', headerField('x-key', 'k', true), `1005${ascii('x-key')}01${ascii('k')}`],
  ['never indexed, whose value is static too', headerField(':method', 'POST', true), `1204${ascii('POST')}`],
  ['of 126 bytes', headerField('te', 'v'.repeat(126)), `0002${ascii('te')}7e${'76'.repeat(126)}`],
  ['of 127 bytes', headerField('te', 'v'.repeat(127)), `0002${ascii('te')}7f00${'76'.repeat(127)}`],
  ['of 255 bytes', headerField('te', 'v'.repeat(255)), `0002${ascii('te')}7f8001${'76'.repeat(255)}`],
])('a field %s is encoded without any dynamic table', (_, field, expected) => {
  expect(hex(field.wire)).toBe(expected)
})

test('a block is its fields one after the other, whatever their length', () => {
  const fields = [
    headerField(':status', '200'),
    ...[0, 1, 90, 96, 97, 126, 127, 500, 16_384, 100_000].map((length) => headerField('x-long', 'v'.repeat(length))),
    headerField('x-secret', 's', true),
  ]
  const back = roundTrip(fields)
  expect(back.map((field) => [field.name, valueText(field), field.neverIndexed])).toEqual(
    fields.map((field) => [field.name, valueText(field), field.neverIndexed]),
  )
  expect(back.map((field) => hex(field.wire))).toEqual(fields.map((field) => hex(field.wire)))
})

test('every static entry is its own one byte and reads back as itself', () => {
  const fields = STATIC_ENTRIES.map(({ name, value }) => headerField(name, value))
  expect(STATIC_COUNT).toBe(61)
  expect(fields).toEqual(STATIC_FIELDS.slice(1))
  expect(roundTrip(fields)).toEqual(fields)
  for (const [i, field] of fields.entries()) expect([...field.wire]).toEqual([0x80 | (i + 1)])
})

test('a value is bytes, and text of one character a byte', () => {
  const bytes = Uint8Array.from({ length: 128 }, (_, i) => 128 + i)
  const field = headerField('x-bytes', bytes)
  bytes.fill(0x21)
  expect([...field.value]).toEqual(Array.from({ length: 128 }, (_, i) => 128 + i))
  expect(valueText(field)).toBe(Buffer.from(field.value).toString('latin1'))
  expect(headerField('x-bytes', valueText(field)).wire).toEqual(field.wire)
  expect(field.size).toBe(7 + 128 + 32)
})

test('what is remembered on a field stays on it', () => {
  const field = headerField('grpc-timeout', '1S')
  expect(field.memo).toBeUndefined()
  field.memo = 1_000
  expect(field.memo).toBe(1_000)
})

test.each([
  ['X-Name', 'v'],
  ['', 'v'],
  ['x name', 'v'],
  ['x-name', 'a\r\nb'],
  ['x-name', ' v'],
  ['x-name', 'Ω'],
  [':path', '/é'],
])('the proxy cannot write %j: %j', (name, value) => {
  expect(() => headerField(name, value)).toThrow('broken invariant')
})
