/**
 * The bytes of answers. A token's message is joined from parts that were encoded before: what is the same for the whole request, and what is the
 * same for a word. That holds because concatenated protobuf fields are one message.
 */
import {
  InferParameter,
  ModelInferResponse,
  type ModelInferResponse_InferOutputTensor,
  ModelStreamInferResponse,
} from '../../proto/gen/inference/grpc_service.ts'
import { textOf, tokenText } from './story.ts'

export const MODEL_VERSION = '1'

const FRAME_HEAD = 5
/** Tag of ModelStreamInferResponse.infer_response. */
const INFER_RESPONSE_TAG = 0x12

const output = (name: string, datatype: string): ModelInferResponse_InferOutputTensor => ({
  name,
  datatype,
  shape: [1n],
  parameters: {},
  contents: undefined,
})

const OUTPUTS = [output('text_output', 'BYTES'), output('token_index', 'INT32')]

const finality = (final: boolean): Record<string, InferParameter> => ({
  triton_final_response: InferParameter.create({ parameterChoice: { $case: 'boolParam', value: final } }),
})

function rawOutputs(text: string, index: number): Buffer[] {
  const bytes = Buffer.from(text)
  const first = Buffer.alloc(4 + bytes.length)
  first.writeUInt32LE(bytes.length, 0)
  bytes.copy(first, 4)
  const second = Buffer.alloc(4)
  second.writeInt32LE(index, 0)
  return [first, second]
}

const encode = (response: Partial<ModelInferResponse>): Buffer =>
  Buffer.from(ModelInferResponse.encode(ModelInferResponse.create(response)).finish())

/** Word and finality → its fields, with the token's index as the last four bytes. As many entries as the story has words, twice. */
const wordFields = new Map<string, Buffer>()

function fieldsOf(text: string, final: boolean): Buffer {
  const key = `${final ? '!' : '.'}${text}`
  let fields = wordFields.get(key)
  if (fields === undefined) {
    fields = encode({ parameters: finality(final), rawOutputContents: rawOutputs(text, 0) })
    wordFields.set(key, fields)
  }
  return fields
}

const lengthSize = (length: number): number => (length < 0x80 ? 1 : length < 0x4000 ? 2 : length < 0x20_0000 ? 3 : 4)

function frameAround(parts: readonly Buffer[]): Buffer {
  const inner = parts.reduce((sum, part) => sum + part.length, 0)
  const message = 1 + lengthSize(inner) + inner
  const frame = Buffer.allocUnsafe(FRAME_HEAD + message)
  frame[0] = 0
  frame.writeUInt32BE(message, 1)
  frame[FRAME_HEAD] = INFER_RESPONSE_TAG
  let at = FRAME_HEAD + 1
  let rest = inner
  for (; rest > 0x7f; rest >>>= 7) frame[at++] = (rest & 0x7f) | 0x80
  frame[at++] = rest
  for (const part of parts) {
    part.copy(frame, at)
    at += part.length
  }
  return frame
}

/** The frames of one request in a stream. */
export class StreamAnswer {
  readonly #head: Buffer

  constructor(model: string, id: string) {
    this.#head = encode({ modelName: model, modelVersion: MODEL_VERSION, id, outputs: OUTPUTS })
  }

  token(index: number, final: boolean): Buffer {
    const frame = frameAround([this.#head, fieldsOf(tokenText(index), final)])
    frame.writeInt32LE(index, frame.length - 4)
    return frame
  }
}

export const emptyFinalFrame = (model: string, id: string): Buffer =>
  frameAround([encode({ modelName: model, modelVersion: MODEL_VERSION, id, parameters: finality(true) })])

/** As Triton does for what it finds before execution: the id alone beside the text, and no word on finality. */
export const streamErrorFrame = (text: string, id: string): Buffer =>
  frameOf(ModelStreamInferResponse.encode({ errorMessage: text, inferResponse: ModelInferResponse.create({ id }) }).finish())

/** The whole answer of a unary request; token_index is the last token's. */
export const unaryFrame = (model: string, id: string, tokens: number): Buffer =>
  frameOf(
    encode({
      modelName: model,
      modelVersion: MODEL_VERSION,
      id,
      outputs: OUTPUTS,
      rawOutputContents: rawOutputs(textOf(tokens), tokens - 1),
    }),
  )

/** A message as it travels: not compressed, its length, itself. */
export function frameOf(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEAD + message.length)
  frame[0] = 0
  frame.writeUInt32BE(message.length, 1)
  frame.set(message, FRAME_HEAD)
  return frame
}
