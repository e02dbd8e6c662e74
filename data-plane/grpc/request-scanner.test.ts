import { deflateSync, gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { ModelInferRequest } from '../../proto/gen/inference/grpc_service.ts'
import { openInflater } from '../wire/inflate.ts'
import { RequestScanner } from './request-scanner.ts'
import { NO_WISHES } from './scan-wishes.ts'

const NONE: ModelInferRequest = { modelName: '', modelVersion: '', id: '', parameters: {}, inputs: [], outputs: [], rawInputContents: [] }
const request = (fields: Partial<ModelInferRequest>): Buffer => Buffer.from(ModelInferRequest.encode({ ...NONE, ...fields }).finish())
const tensors = {
  inputs: [{ name: 'x', datatype: 'UINT8', shape: [64n], parameters: {}, contents: undefined }],
  rawInputContents: [Buffer.alloc(64, 7)],
}
const framed = (body: Uint8Array, flag = 0): Buffer => {
  const head = Buffer.alloc(5)
  head[0] = flag
  head.writeUInt32BE(body.length, 1)
  return Buffer.concat([head, body])
}
/** A length-delimited field by hand, to put fields where no library would. */
const field = (number: number, text: string): Buffer => Buffer.concat([Buffer.from([number * 8 + 2, text.length]), Buffer.from(text)])
const scan = (bytes: Buffer, step = bytes.length, encoding = 'identity'): RequestScanner => {
  const scanner = new RequestScanner(encoding, openInflater, true, NO_WISHES)
  for (let at = 0; at < bytes.length; at += step) scanner.feed(bytes, at, Math.min(at + step, bytes.length))
  return scanner
}
const BODY = request({
  modelName: 'llm',
  modelVersion: '3',
  id: 'r1',
  parameters: { priority: { parameterChoice: { $case: 'int64Param' as const, value: 1n } } },
  ...tensors,
})

test('the model is found wherever a read is cut', () => {
  for (let step = 1; step <= BODY.length + 5; step++) {
    const scanner = scan(framed(BODY), step)
    expect([scanner.model, scanner.routable, scanner.refusal, scanner.torn, scanner.whole]).toEqual(['llm', true, undefined, false, true])
  }
})

test('routing waits until the fields that route have all passed, and no longer', () => {
  const bytes = framed(BODY)
  const tensorsAt = bytes.indexOf(Buffer.from([0x2a]), 5)
  const scanner = new RequestScanner('identity', openInflater, true, NO_WISHES)
  scanner.feed(bytes, 0, tensorsAt)
  expect(scanner.routable).toBe(false)
  scanner.feed(bytes, tensorsAt, tensorsAt + 1)
  expect(scanner.routable).toBe(true)
})

test('fields may come in any order, and the last name before the tensors wins', () => {
  expect(scan(framed(Buffer.concat([field(3, 'id'), field(2, '1'), field(1, 'a'), field(1, 'b')]))).model).toBe('b')
  expect(scan(framed(Buffer.concat([field(5, 'tensor'), field(1, 'late')]))).model).toBe('late')
})

test('a name in other letters than ASCII is the name that a configuration file spells', () => {
  expect(scan(framed(request({ modelName: 'mühle' }))).model).toBe('mühle')
})

describe('what contradicts the choice is refused before its message ends', () => {
  const again = (extra: Buffer): Buffer => Buffer.concat([BODY, extra])
  test.each([
    ['another name behind the tensors', framed(again(field(1, 'other'))), 'model-changed'],
    ['another version behind the tensors', framed(again(field(2, '9'))), 'model-changed'],
    ['parameters behind the tensors', framed(again(field(4, ''))), 'model-changed'],
    ['no model', framed(request(tensors)), 'model-missing'],
    ['an empty message', framed(Buffer.alloc(0)), 'model-missing'],
    ['a field of number 0', framed(Buffer.from([0x02, 0x00])), 'illegal-message'],
    ['a name whose tag has bits to spare', framed(again(Buffer.from([0x8a, 0x80, 0x80, 0x80, 0x10, 1, 0x78]))), 'illegal-message'],
    ['a group', framed(Buffer.concat([field(1, 'm'), Buffer.from([0x2b])])), 'illegal-message'],
    ['a number where the name should be', framed(Buffer.from([0x08, 0x01])), 'illegal-message'],
    ['a length beyond the message', framed(Buffer.from([0x0a, 0x40, 0x41])), 'illegal-message'],
    ['a message that ends in a field', framed(Buffer.concat([field(1, 'm'), Buffer.from([0x3a])])), 'illegal-message'],
    ['a varint without end', framed(Buffer.concat([field(1, 'm'), Buffer.from([0x30]), Buffer.alloc(12, 0xff)])), 'illegal-message'],
    ['a flag that is neither 0 nor 1', framed(BODY, 2), 'illegal-message'],
    ['a compressed message in a plain request', framed(gzipSync(BODY), 1), 'illegal-message'],
    ['a name of two kilobytes', framed(request({ modelName: 'n'.repeat(2048) })), 'illegal-message'],
  ])('%s', (_name, bytes, reason) => {
    for (const step of [1, 7, bytes.length]) expect(scan(bytes, step).refusal?.reason).toBe(reason)
  })
})

test('the same name again is no contradiction', () => {
  expect(scan(framed(Buffer.concat([BODY, field(1, 'llm'), field(2, '3')]))).refusal).toBeUndefined()
})

test.each([
  ['gzip', gzipSync],
  ['deflate', deflateSync],
] as const)('a %s message is looked into, and refused for what it hides', (encoding, compress) => {
  const good = framed(compress(BODY), 1)
  const bad = framed(compress(Buffer.concat([BODY, field(1, 'other')])), 1)
  for (const step of [1, 13, good.length]) {
    expect(scan(good, step, encoding).model).toBe('llm')
    expect(scan(bad, step, encoding).refusal?.reason).toBe('model-changed')
  }
  expect(scan(framed(Buffer.from('no such stream'), 1), 3, encoding).refusal?.reason).toBe('illegal-message')
})

test('a small message that inflates without end is stopped', () => {
  const bomb = gzipSync(Buffer.concat([BODY, Buffer.from([0x3a, 0x80, 0x80, 0x80, 0x80, 0x01]), Buffer.alloc(80 * 1024 * 1024)]))
  expect(scan(framed(bomb, 1), 16_384, 'gzip').refusal?.detail).toContain('too large')
})

test('an unknown encoding is refused by its name', () => {
  expect(scan(framed(BODY, 1), BODY.length, 'snappy').refusal).toEqual({
    reason: 'encoding-unknown',
    detail: 'grpc-encoding snappy: there are gzip, deflate and identity',
  })
})

describe('reads lie in one Buffer that the next read overwrites', () => {
  const scanOverwritten = (bytes: Buffer, step: number, encoding: string): RequestScanner => {
    const scanner = new RequestScanner(encoding, openInflater, true, NO_WISHES)
    const reads = Buffer.alloc(bytes.length)
    for (let at = 0; at < bytes.length; at += step) {
      const length = bytes.copy(reads, 0, at, at + step)
      scanner.feed(reads, 0, length)
      reads.fill(0xee)
    }
    return scanner
  }

  test("a request's id stays its own", () => {
    for (const step of [1, 20, BODY.length + 5]) expect(scanOverwritten(framed(BODY), step, 'identity').id).toBe('r1')
  })

  test('a compressed message is read whole wherever it is cut', () => {
    const noise = Buffer.from(Array.from({ length: 3_000 }, (_, at) => (at * at * 7_919) >>> 5))
    const body = Buffer.concat([BODY, Buffer.from([0x3a, 0xb8, 0x17]), noise])
    for (const [encoding, compress] of [['gzip', gzipSync] as const, ['deflate', deflateSync] as const])
      for (const step of [1, 7, 100, 1_000]) {
        const { refusal, whole, model } = scanOverwritten(framed(compress(body), 1), step, encoding)
        expect([refusal, whole, model]).toEqual([undefined, true, 'llm'])
      }
  })
})

test('random bytes never throw', () => {
  let seed = 7
  const byte = (): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
    return (seed >>> 16) & 0xff
  }
  for (let round = 0; round < 20_000; round++) scan(framed(Buffer.from(Array.from({ length: byte() % 40 }, byte))), 1 + (byte() % 9))
})
