import { expect, test } from 'vitest'
import { ModelInferRequest } from '../../proto/gen/inference/grpc_service.ts'
import { type GivenTensor, givenRequest, tensorProblem } from './given-request.ts'

const tensor = (datatype: GivenTensor['datatype'], data: GivenTensor['data'], shape = [data.length]): GivenTensor => ({
  name: 'x',
  datatype,
  shape,
  data,
})

test('every type goes into its own field, and survives the wire', () => {
  const inputs = [
    tensor('BOOL', [true, false]),
    tensor('INT8', [-1]),
    tensor('UINT16', [7]),
    tensor('INT64', [-5]),
    tensor('UINT64', [5]),
    tensor('FP32', [0.5]),
    tensor('FP64', [0.25]),
    tensor('BYTES', ['hello']),
  ]
  const sent = givenRequest('m', { inputs, parameters: { max_tokens: 1, temperature: 0.5, stream: false, stop: 'x' } })
  const read = ModelInferRequest.decode(ModelInferRequest.encode(sent).finish())
  expect(read.inputs.map(({ contents }) => Object.entries(contents ?? {}).find(([, values]) => values.length > 0))).toEqual([
    ['boolContents', [true, false]],
    ['intContents', [-1]],
    ['uintContents', [7]],
    ['int64Contents', [-5n]],
    ['uint64Contents', [5n]],
    ['fp32Contents', [0.5]],
    ['fp64Contents', [0.25]],
    ['bytesContents', [Buffer.from('hello')]],
  ])
  expect(Object.values(read.parameters).map(({ parameterChoice }) => parameterChoice?.$case)).toEqual([
    'int64Param',
    'doubleParam',
    'boolParam',
    'stringParam',
  ])
})

test.each([
  [tensor('FP32', [1, 2], [1, 2]), undefined],
  [tensor('FP32', [1, 2], [3]), 'the shape holds 3 elements and data has 2'],
  [tensor('INT32', [0.5]), '0.5 is no INT32'],
  [tensor('UINT8', [-1]), '-1 is no UINT8'],
  [tensor('BYTES', [1]), '1 is no BYTES'],
  [tensor('BOOL', [1]), '1 is no BOOL'],
  [tensor('FP64', ['1']), '"1" is no FP64'],
])('%j: %s', (one, problem) => {
  expect(tensorProblem(one)).toBe(problem)
})
