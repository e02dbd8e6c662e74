/** Reads what the simulated model needs of a KServe request: a prompt and how many tokens to say. Anything else in it is ignored. */
import type { InferParameter, ModelInferRequest, ModelInferRequest_InferInputTensor } from '../../proto/gen/inference/grpc_service.ts'

export type Ask = {
  readonly id: string
  readonly model: string
  readonly prompt: string
  readonly tokens: number
  /** The caller wants one more, empty message that says that the request has ended. */
  readonly emptyFinal: boolean
}

export type BadAsk = { readonly wrong: string }

/** A request may not make the server talk for ever. */
const TOKENS_MAX = 1_000_000

export function parseAsk(request: ModelInferRequest, tokensUsual: number): Ask | BadAsk {
  const raw = request.rawInputContents
  if (raw.length > 0 && raw.length !== request.inputs.length)
    return { wrong: `raw_input_contents holds ${raw.length} tensors for ${request.inputs.length} inputs` }
  let prompt: string | undefined
  let tokens = tokensUsual
  for (const [at, input] of request.inputs.entries())
    if (input.name === 'text_input') {
      prompt = readText(input, raw[at])
      if (prompt === undefined) return { wrong: 'input text_input wants one element of datatype BYTES' }
    } else if (input.name === 'max_tokens') {
      const read = readWhole(input, raw[at])
      if (read === undefined || read < 1 || read > TOKENS_MAX)
        return { wrong: `input max_tokens wants one element of datatype INT32 between 1 and ${TOKENS_MAX}` }
      tokens = read
    }
  if (prompt === undefined) return { wrong: `the model ${request.modelName} wants an input text_input of datatype BYTES` }
  const emptyFinal = isTrue(request.parameters.triton_enable_empty_final_response)
  return { id: request.id, model: request.modelName, prompt, tokens, emptyFinal }
}

const isTrue = (parameter: InferParameter | undefined): boolean =>
  parameter?.parameterChoice?.$case === 'boolParam' && parameter.parameterChoice.value

function readText(input: ModelInferRequest_InferInputTensor, raw: Buffer | undefined): string | undefined {
  if (input.datatype !== 'BYTES') return undefined
  if (raw === undefined) return input.contents?.bytesContents[0]?.toString('utf8')
  // A raw BYTES element is its length, little-endian, and then itself.
  if (raw.length < 4 || raw.readUInt32LE(0) > raw.length - 4) return undefined
  return raw.toString('utf8', 4, 4 + raw.readUInt32LE(0))
}

function readWhole(input: ModelInferRequest_InferInputTensor, raw: Buffer | undefined): number | undefined {
  if (input.datatype === 'INT32')
    return raw === undefined ? input.contents?.intContents[0] : raw.length >= 4 ? raw.readInt32LE(0) : undefined
  if (input.datatype !== 'INT64') return undefined
  const long = raw === undefined ? input.contents?.int64Contents[0] : raw.length >= 8 ? raw.readBigInt64LE(0) : undefined
  return long === undefined ? undefined : Number(long)
}
