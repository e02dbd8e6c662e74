/** Keepalive against a real Triton with its default flags: what we do by default earns no GOAWAY, and what does earn one teaches us. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ModelInferRequest } from '../../proto/gen/inference/grpc_service.ts'
import { connectGrpc, type StreamEnd } from '../tools/grpc-session.ts'
import { startProxy } from '../tools/proxy.ts'
import { MODEL_STREAM_INFER } from '../tools/sim-server.ts'
import { startTriton, type TestTriton } from '../tools/triton.ts'

const full = process.env.MILLRACE_FULL === '1'
const SILENCE_MS = 10_000

const input = (name: string, datatype: string, contents: object) => ({ name, datatype, shape: [1n], contents })
const REQUEST = ModelInferRequest.encode(
  ModelInferRequest.fromPartial({
    modelName: 'llm_stream',
    inputs: [
      input('text_input', 'BYTES', { bytesContents: [Buffer.from('a word')] }),
      input('max_tokens', 'INT32', { intContents: [2] }),
      input('delay_ms', 'INT32', { intContents: [SILENCE_MS] }),
    ],
  }),
).finish()

describe.runIf(full)('a model that is silent for long', () => {
  let triton: TestTriton
  beforeAll(async () => {
    triton = await startTriton()
  })
  afterAll(() => triton?.stop())

  /** Two tokens with a silence between them, so many times one after the other. */
  async function talk(times: number, ...settings: string[]): Promise<StreamEnd[]> {
    const proxy = await startProxy([{ id: 'gpu-a/triton', address: triton.grpc }], ...settings)
    const session = await connectGrpc(proxy.listen)
    try {
      const ends: StreamEnd[] = []
      for (let i = 0; i < times; i++) {
        const stream = session.open(MODEL_STREAM_INFER)
        stream.send(REQUEST)
        stream.halfClose()
        ends.push(await stream.ended)
      }
      return ends
    } finally {
      session.destroy()
      await proxy.stop()
    }
  }

  test('one question within a silence is answered, and asking too often is unlearnt', async () => {
    const [asked, tooOften] = await Promise.all([
      talk(2, '--upstream-keepalive', '1', '--upstream-keepalive-timeout', '2'),
      talk(4, '--upstream-keepalive', '1', '--upstream-keepalive-again', '1', '--upstream-keepalive-timeout', '2'),
    ])
    expect(asked.map(({ status }) => status)).toEqual([0, 0])
    expect([tooOften[0]?.status, tooOften.at(-1)?.status]).toEqual([14, 0])
  })
})
