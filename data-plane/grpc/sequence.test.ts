import { expect, test } from 'vitest'
import { type InferParameter, ModelInferRequest } from '../../proto/gen/inference/grpc_service.ts'
import { openInflater } from '../wire/inflate.ts'
import { RequestScanner } from './request-scanner.ts'
import { NO_WISHES } from './scan-wishes.ts'
import { readSequenceParameter, type Sequence } from './sequence.ts'

type Choice = InferParameter['parameterChoice']

function sequenceOf(parameters: Readonly<Record<string, Choice>>, step = 1_000): Sequence | undefined {
  const body = ModelInferRequest.encode(
    ModelInferRequest.fromPartial({
      modelName: 'm',
      parameters: Object.fromEntries(Object.entries(parameters).map(([key, parameterChoice]) => [key, { parameterChoice }])),
      rawInputContents: [Buffer.alloc(10)],
    }),
  ).finish()
  const framed = Buffer.concat([Buffer.from([0, 0, 0, body.length >>> 8, body.length & 0xff]), body])
  const scanner = new RequestScanner('identity', openInflater, true, NO_WISHES)
  for (let at = 0; at < framed.length; at += step) scanner.feed(framed, at, Math.min(framed.length, at + step))
  expect(scanner.refusal).toBeUndefined()
  return scanner.sequence
}

const TRUE: Choice = { $case: 'boolParam', value: true }
const number = (value: bigint): Choice => ({ $case: 'int64Param', value })
const text = (value: string): Choice => ({ $case: 'stringParam', value })

test.each([
  ['a number', { sequence_id: number(42n), sequence_start: TRUE }, { id: '42', starts: true, ends: false }],
  ['the largest number', { sequence_id: number(2n ** 63n - 1n) }, { id: '9223372036854775807', starts: false, ends: false }],
  ['a negative number', { sequence_id: number(-5n) }, { id: '-5', starts: false, ends: false }],
  ['a text', { sequence_id: text('größe'), sequence_end: TRUE }, { id: 'größe', starts: false, ends: true }],
  ['a long text', { sequence_id: text('s'.repeat(300)) }, { id: 's'.repeat(300), starts: false, ends: false }],
  ['the number 0, which is none', { sequence_id: number(0n), sequence_start: TRUE }, undefined],
  ['an empty text, which is none', { sequence_id: text('') }, undefined],
  ['other parameters', { priority: number(3n), s: TRUE, sequence_ids: number(4n) }, undefined],
] as const)('%s', (_name, parameters, wanted) => {
  for (const step of [1, 3, 1_000]) expect(sequenceOf(parameters, step)).toEqual(wanted)
})

test('random bytes are no sequence and never throw', () => {
  let seed = 3
  const byte = (): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
    return (seed >>> 16) & 0xff
  }
  const start = Buffer.from([0x0a, 11, ...Buffer.from('sequence_id'), 0x12])
  for (let round = 0; round < 20_000; round++) {
    const entry = Buffer.concat([start, Buffer.from(Array.from({ length: byte() % 24 }, byte))])
    readSequenceParameter(entry, 0, entry.length)
  }
})
