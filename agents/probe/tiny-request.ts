/**
 * Makes the smallest real request that a model takes, from what the model says of itself: dimensions that are free are 1, numbers are zero, texts are
 * empty. Two habits of language models are obeyed by name, or every one of them would refuse: a prompt is one letter, a wished length is 1.
 * Invariant: what cannot be made small, or made at all, is said in words, and no request is guessed.
 */
import { limits } from '../../core/limits.ts'
import type { InferParameter, ModelInferRequest } from '../../proto/gen/inference/grpc_service.ts'

/** What ModelMetadata and ModelConfig tell of a model. */
export type ModelFacts = {
  readonly name: string
  readonly inputs: readonly { readonly name: string; readonly datatype: string; readonly shape: readonly bigint[] }[]
  /** Names of inputs that may be left out. */
  readonly optional: ReadonlySet<string>
  /** Answers through ModelStreamInfer only. */
  readonly decoupled: boolean
  readonly sequence: boolean
}

export type Made = { readonly request: ModelInferRequest } | { readonly senseless: string }

export const PROBE_ID = 'millrace-probe'

/** Bytes of one element; a text has its length before it. */
const SIZES: Readonly<Record<string, number>> = {
  BOOL: 1,
  UINT8: 1,
  INT8: 1,
  UINT16: 2,
  INT16: 2,
  FP16: 2,
  BF16: 2,
  UINT32: 4,
  INT32: 4,
  FP32: 4,
  UINT64: 8,
  INT64: 8,
  FP64: 8,
  BYTES: 4,
}

const PROMPT = /^(text_input|prompt|prompts)$/i
const WISHED_LENGTH = /^(max_tokens|max_new_tokens|max_output_tokens|output_len|request_output_len)$/i

/** `sequenceId` is positive and belongs to nobody else's sequence. */
export function tinyRequest(facts: ModelFacts, sequenceId: bigint): Made {
  const inputs = facts.inputs.filter(({ name }) => !facts.optional.has(name) || WISHED_LENGTH.test(name))
  if (inputs.length === 0) return { senseless: 'it names no input' }
  let total = 0
  const raw: Buffer[] = []
  for (const { name, datatype, shape } of inputs) {
    const size = SIZES[datatype]
    if (size === undefined) return { senseless: `its input ${name} is of type ${datatype || 'unknown'}` }
    const elements = shape.reduce((product, size) => product * Number(size < 0n ? 1n : size), 1)
    total += elements * size
    if (!(total <= limits.deepProbeBytesMax)) return { senseless: `its smallest request is larger than ${limits.deepProbeBytesMax} bytes` }
    raw.push(contentOf(name, datatype, elements, size))
  }
  const parameters: Record<string, InferParameter> = facts.sequence
    ? { sequence_id: whole(sequenceId), sequence_start: yes, sequence_end: yes }
    : {}
  return {
    request: {
      modelName: facts.name,
      modelVersion: '',
      id: PROBE_ID,
      parameters,
      inputs: inputs.map(({ name, datatype, shape }) => ({
        name,
        datatype,
        shape: shape.map((size) => (size < 0n ? 1n : size)),
        parameters: {},
        contents: undefined,
      })),
      outputs: [],
      rawInputContents: raw,
    },
  }
}

const yes: InferParameter = { parameterChoice: { $case: 'boolParam', value: true } }
const whole = (value: bigint): InferParameter => ({ parameterChoice: { $case: 'int64Param', value } })

function contentOf(name: string, datatype: string, elements: number, size: number): Buffer {
  if (datatype === 'BYTES' && PROMPT.test(name)) return Buffer.concat(Array.from({ length: elements }, () => LETTER))
  const content = Buffer.alloc(elements * size)
  if (WISHED_LENGTH.test(name) && /^U?INT/.test(datatype)) for (let at = 0; at < elements; at++) content[at * size] = 1
  return content
}

const LETTER = Buffer.from([1, 0, 0, 0, 'a'.charCodeAt(0)])
