/** The request that an owner wrote for a model, in the JSON form of KServe's HTTP protocol, as the message of its gRPC protocol. */
import type { InferParameter, InferTensorContents, ModelInferRequest } from '../../proto/gen/inference/grpc_service.ts'
import { PROBE_ID } from './tiny-request.ts'

export type GivenRequest = {
  readonly inputs: readonly GivenTensor[]
  readonly parameters?: Readonly<Record<string, boolean | number | string>> | undefined
}

export type GivenTensor = {
  readonly name: string
  readonly datatype: GivenType
  readonly shape: readonly number[]
  readonly data: readonly (boolean | number | string)[]
}

/** Those that JSON can tell; the contents field that each goes into. */
const FIELDS = {
  BOOL: 'boolContents',
  INT8: 'intContents',
  INT16: 'intContents',
  INT32: 'intContents',
  INT64: 'int64Contents',
  UINT8: 'uintContents',
  UINT16: 'uintContents',
  UINT32: 'uintContents',
  UINT64: 'uint64Contents',
  FP32: 'fp32Contents',
  FP64: 'fp64Contents',
  BYTES: 'bytesContents',
} as const satisfies Record<string, keyof InferTensorContents>

export type GivenType = keyof typeof FIELDS
export const GIVEN_TYPES = Object.keys(FIELDS) as GivenType[]

export const givenRequest = (model: string, given: GivenRequest): ModelInferRequest => ({
  modelName: model,
  modelVersion: '',
  id: PROBE_ID,
  parameters: Object.fromEntries(Object.entries(given.parameters ?? {}).map(([name, value]) => [name, parameter(value)])),
  inputs: given.inputs.map(({ name, datatype, shape, data }) => ({
    name,
    datatype,
    shape: shape.map((size) => BigInt(size)),
    parameters: {},
    contents: { ...NO_CONTENTS, [FIELDS[datatype]]: data.map((value) => element(datatype, value)) },
  })),
  outputs: [],
  rawInputContents: [],
})

/** What is wrong with a tensor in words, before anybody is asked with it. */
export function tensorProblem({ datatype, shape, data }: GivenTensor): string | undefined {
  const elements = shape.reduce((product, size) => product * size, 1)
  if (data.length !== elements) return `the shape holds ${elements} elements and data has ${data.length}`
  const wrong = data.find((value) => !fits(datatype, value))
  return wrong === undefined ? undefined : `${JSON.stringify(wrong)} is no ${datatype}`
}

function fits(datatype: GivenType, value: boolean | number | string): boolean {
  if (datatype === 'BOOL') return typeof value === 'boolean'
  if (datatype === 'BYTES') return typeof value === 'string'
  if (typeof value !== 'number') return false
  return datatype.startsWith('FP') || (Number.isSafeInteger(value) && (value >= 0 || !datatype.startsWith('U')))
}

const element = (datatype: GivenType, value: boolean | number | string): boolean | number | bigint | Buffer =>
  datatype === 'BYTES'
    ? Buffer.from(String(value))
    : datatype.endsWith('INT64')
      ? BigInt(value)
      : typeof value === 'string'
        ? Number(value)
        : value

function parameter(value: boolean | number | string): InferParameter {
  if (typeof value === 'boolean') return { parameterChoice: { $case: 'boolParam', value } }
  if (typeof value === 'string') return { parameterChoice: { $case: 'stringParam', value } }
  if (Number.isSafeInteger(value)) return { parameterChoice: { $case: 'int64Param', value: BigInt(value) } }
  return { parameterChoice: { $case: 'doubleParam', value } }
}

const NO_CONTENTS: InferTensorContents = {
  boolContents: [],
  intContents: [],
  int64Contents: [],
  uintContents: [],
  uint64Contents: [],
  fp32Contents: [],
  fp64Contents: [],
  bytesContents: [],
}
