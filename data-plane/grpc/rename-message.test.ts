import { deflateSync, gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { ModelInferRequest } from '../../proto/gen/inference/grpc_service.ts'
import { openInflater } from '../wire/inflate.ts'
import { MessageRenamer } from './rename-message.ts'
import { RequestScanner } from './request-scanner.ts'
import { NO_WISHES } from './scan-wishes.ts'

const NONE: ModelInferRequest = { modelName: '', modelVersion: '', id: '', parameters: {}, inputs: [], outputs: [], rawInputContents: [] }
const request = (fields: Partial<ModelInferRequest>): Buffer => Buffer.from(ModelInferRequest.encode({ ...NONE, ...fields }).finish())
const tensors = {
  inputs: [{ name: 'x', datatype: 'UINT8', shape: [64n], parameters: {}, contents: undefined }],
  rawInputContents: [Buffer.alloc(300, 7)],
}
const framed = (body: Uint8Array, flag = 0): Buffer => {
  const head = Buffer.alloc(5)
  head[0] = flag
  head.writeUInt32BE(body.length, 1)
  return Buffer.concat([head, body])
}
/** A length-delimited field by hand, to put fields where no library would. */
const field = (number: number, text: string): Buffer => Buffer.concat([Buffer.from([number * 8 + 2, text.length]), Buffer.from(text)])
const ASKED = {
  modelName: 'an alias',
  id: 'r1',
  parameters: { priority: { parameterChoice: { $case: 'int64Param' as const, value: 1n } } },
  ...tensors,
}
const TARGET = { model: 'llm', version: '2' }

function renamed(bytes: Uint8Array, { step = bytes.length, encoding = 'identity', to = TARGET } = {}): Buffer {
  const renamer = new MessageRenamer(to, encoding, openInflater)
  const out: Buffer[] = []
  for (let at = 0; at < bytes.length; at += step) {
    const read = Uint8Array.from(bytes.subarray(at, at + step))
    renamer.feed(read, 0, read.length, (piece, start, end) => out.push(Buffer.from(piece.subarray(start, end))))
    read.fill(0xee) // a read buffer is used again
  }
  if (renamer.refusal !== undefined) throw new Error(renamer.refusal.detail)
  const whole = Buffer.concat(out)
  expect(renamer.grown, 'credit is counted in the bytes of the client').toBe(whole.length - bytes.length)
  return whole
}

const WANTED = framed(request({ ...ASKED, modelName: 'llm', modelVersion: '2' }))

test('wherever a read is cut, what goes out is what a client would have sent that asked for the target', () => {
  const bytes = framed(request({ ...ASKED, modelVersion: '17' }))
  for (let step = 1; step <= bytes.length; step++) expect(renamed(bytes, { step })).toEqual(WANTED)
})

test('messages of one stream are renamed one by one, whatever the cut', () => {
  const bytes = Buffer.concat([framed(request(ASKED)), framed(request({ modelName: 'x' })), framed(request(ASKED))])
  const wanted = Buffer.concat([WANTED, framed(request({ modelName: 'llm', modelVersion: '2' })), WANTED])
  for (let step = 1; step <= bytes.length; step += 3) expect(renamed(bytes, { step })).toEqual(wanted)
})

test.each([
  ['the version before the name', [field(2, '1'), field(1, 'alias'), field(3, 'id'), field(5, 'tensor')]],
  ['names that stand twice', [field(1, 'alias'), field(2, ''), field(1, 'alias'), field(3, 'id'), field(5, 'tensor')]],
  ['tensors before the name', [field(5, 'tensor'), field(3, 'id'), field(1, 'alias')]],
  [
    'fields of all types before the name',
    [Buffer.from([0x30, 0x96, 0x01, 0x39, 1, 2, 3, 4, 5, 6, 7, 8, 0x45, 1, 2, 3, 4]), field(1, 'a'), field(2, '3')],
  ],
])('%s are taken out and nothing else', (_what, fields) => {
  const others = fields.filter((one) => one[0] !== 0x0a && one[0] !== 0x12)
  const wanted = framed(Buffer.concat([field(1, 'llm'), field(2, '2'), ...others]))
  const bytes = framed(Buffer.concat(fields))
  for (let step = 1; step <= bytes.length; step++) expect(renamed(bytes, { step })).toEqual(wanted)
})

test('a target without a version takes the version out, and a long name is written whole', () => {
  const long = 'é'.repeat(500)
  const bytes = renamed(framed(request({ ...ASKED, modelVersion: '9' })), { to: { model: long, version: '' } })
  expect(ModelInferRequest.decode(bytes.subarray(5))).toMatchObject({ modelName: long, modelVersion: '', id: 'r1' })
})

test.each([
  ['gzip', gzipSync],
  ['deflate', deflateSync],
])('a message in %s goes on inflated, and a plain one behind it as well', (encoding, compress) => {
  const bytes = Buffer.concat([framed(compress(request(ASKED)), 1), framed(request(ASKED))])
  for (const step of [1, 7, bytes.length]) expect(renamed(bytes, { step, encoding })).toEqual(Buffer.concat([WANTED, WANTED]))
})

test('a compressed message beyond the bounds is refused with the cure, before and after it is inflated', () => {
  const bomb = request({ ...ASKED, rawInputContents: [Buffer.alloc(limits.renamedInflatedMax)] })
  expect(() => renamed(framed(gzipSync(bomb), 1), { encoding: 'gzip' })).toThrow('when inflated: send it uncompressed')
  const large = Buffer.alloc(limits.renamedCompressedMax)
  expect(() => renamed(framed(large, 1).subarray(0, 10), { encoding: 'gzip' })).toThrow('bytes: send it uncompressed')
})

test('a name behind the tensors, which would count as the last one, is refused where a message is renamed', () => {
  const twice = framed(Buffer.concat([field(1, 'alias'), field(5, 'tensor'), field(1, 'alias')]))
  for (const early of [true, false]) {
    const scanner = new RequestScanner('identity', openInflater, false, NO_WISHES)
    if (early) scanner.forbidRepeats()
    scanner.feed(twice, 0, twice.length)
    if (!early) expect(scanner.refusal).toBeUndefined()
    if (!early) scanner.forbidRepeats()
    expect(scanner.refusal?.reason).toBe('model-changed')
  }
})
