/** A simulated model server as a process of its own, with its counts and switches, and the requests that it understands. */
import { ModelInferRequest } from '../../proto/gen/inference/grpc_service.ts'
import type { Behaviour } from '../../sim/model-server/behaviour.ts'
import type { Counts } from '../../sim/model-server/engine.ts'
import { type Part, spawnPart } from './spawn-part.ts'

export const MODEL_INFER = '/inference.GRPCInferenceService/ModelInfer'
export const MODEL_STREAM_INFER = '/inference.GRPCInferenceService/ModelStreamInfer'

export type TestSim = {
  /** host:port of its gRPC service. */
  readonly listen: string
  readonly part: Part
  stats(): Promise<Counts>
  behave(mode: Behaviour['mode'], afterTokens?: number): Promise<void>
  stop(): Promise<void>
}

export async function startSim(...argv: readonly string[]): Promise<TestSim> {
  const part = await spawnPart('sim-server', argv)
  const page = `http://${part.fields.http}/sim`
  return {
    listen: part.fields.listen ?? '',
    part,
    stats: async () => (await (await fetch(`${page}/stats`)).json()) as Counts,
    async behave(mode, afterTokens) {
      const response = await fetch(`${page}/behave`, { method: 'POST', body: JSON.stringify({ mode, afterTokens }) })
      if (!response.ok) throw new Error(`the simulated server refused the mode: ${await response.text()}`)
    },
    async stop() {
      await part.stop()
    },
  }
}

export type TokenAsk = { readonly model?: string; readonly id?: string; readonly tokens: number; readonly prompt?: string | Uint8Array }

export function tokenRequest({ model = 'sim_llm', id = '', tokens, prompt = 'hello' }: TokenAsk): Uint8Array {
  const input = { shape: [1n], parameters: {} }
  return ModelInferRequest.encode(
    ModelInferRequest.create({
      modelName: model,
      id,
      inputs: [
        { ...input, name: 'text_input', datatype: 'BYTES', contents: { bytesContents: [Buffer.from(prompt)] } },
        { ...input, name: 'max_tokens', datatype: 'INT32', contents: { intContents: [tokens] } },
      ],
    }),
  ).finish()
}

/** The number of a streamed token: the server puts it last. */
export const tokenIndexOf = (message: Buffer): number => message.readInt32LE(message.length - 4)

const FINALITY = Buffer.from('triton_final_response')
/** Between the key of a map entry and the bool in its value: the value's tag and length, the bool's tag. */
const TO_VALUE = 3

/** Read where it lies: a test takes thousands of messages a second beside the processes that it measures. */
export const isFinal = (message: Buffer): boolean => message[message.indexOf(FINALITY) + FINALITY.length + TO_VALUE] === 1
