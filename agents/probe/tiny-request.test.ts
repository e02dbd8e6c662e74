import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { type ModelFacts, tinyRequest } from './tiny-request.ts'

const input = (name: string, datatype: string, ...shape: number[]) => ({ name, datatype, shape: shape.map((size) => BigInt(size)) })
const facts = (more: Partial<ModelFacts>): ModelFacts => ({
  name: 'm',
  inputs: [input('x', 'FP32', -1, 4)],
  optional: new Set(),
  decoupled: false,
  sequence: false,
  ...more,
})
const made = (more: Partial<ModelFacts>) => {
  const tiny = tinyRequest(facts(more), 7n)
  if ('senseless' in tiny) return tiny.senseless
  const { inputs, rawInputContents } = tiny.request
  return inputs.map(({ name, shape }, at) => [name, shape.map(Number), rawInputContents[at]?.toString('hex')])
}

test.each<[string, Partial<ModelFacts>, unknown]>([
  ['a free dimension is 1 and numbers are zero', {}, [['x', [1, 4], '00'.repeat(16)]]],
  ['a text is empty', { inputs: [input('t', 'BYTES', -1, 2)] }, [['t', [1, 2], '00'.repeat(8)]]],
  ['a prompt is one letter', { inputs: [input('text_input', 'BYTES', -1)] }, [['text_input', [1], '0100000061']]],
  ['a wished length is 1', { inputs: [input('max_tokens', 'INT64', 1, 1)] }, [['max_tokens', [1, 1], '0100000000000000']]],
  [
    'what may be left out is left out, but for the wished length',
    {
      inputs: [input('text_input', 'BYTES', 1), input('max_tokens', 'INT32', 1), input('stream', 'BOOL', 1)],
      optional: new Set(['max_tokens', 'stream']),
    },
    [
      ['text_input', [1], '0100000061'],
      ['max_tokens', [1], '01000000'],
    ],
  ],
  ['a scalar has one element', { inputs: [input('x', 'FP16')] }, [['x', [], '0000']]],
  ['an empty dimension stays empty', { inputs: [input('x', 'UINT8', 0)] }, [['x', [0], '']]],
  ['a model without inputs is not guessed at', { inputs: [] }, 'it names no input'],
  ['nor is a type that is not known', { inputs: [input('x', 'FP8', 1)] }, 'its input x is of type FP8'],
  [
    'an input of a fixed large size is too much for a probe',
    { inputs: [input('image', 'FP32', 3, 1024, 1024)] },
    `its smallest request is larger than ${limits.deepProbeBytesMax} bytes`,
  ],
  [
    'so is one whose size overflows',
    { inputs: [{ name: 'x', datatype: 'FP64', shape: [2n ** 62n, 2n ** 62n] }] },
    `its smallest request is larger than ${limits.deepProbeBytesMax} bytes`,
  ],
])('%s', (_, more, expected) => {
  expect(made(more)).toEqual(expected)
})

test('a request to a model of sequences is a whole sequence of its own', () => {
  const tiny = tinyRequest(facts({ sequence: true }), 7n)
  expect('request' in tiny && tiny.request.parameters).toEqual({
    sequence_id: { parameterChoice: { $case: 'int64Param', value: 7n } },
    sequence_start: { parameterChoice: { $case: 'boolParam', value: true } },
    sequence_end: { parameterChoice: { $case: 'boolParam', value: true } },
  })
})
