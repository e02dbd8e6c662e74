/** One request through a proxy, unary or as a stream whose answers are handed on as they come. Used by `infer` and by `up`. */
import { type Client, Metadata } from '@grpc/grpc-js'
import { CommandFailure } from './command-failure.ts'
import { loadService, type Message, method } from './grpc-call.ts'

export type Answer = { readonly text: string | undefined; readonly response: Message }

export type Outcome = {
  /** Who served it; proxies tell only when started with --name-endpoints. */
  readonly endpoint: string | undefined
  readonly answers: number
  readonly firstMs: number | undefined
  readonly totalMs: number
}

const service = () => loadService('millrace/inference/v1/inference.proto', 'millrace.inference.v1.InferenceService')

const bytesElement = (text: string): Buffer => {
  const bytes = Buffer.from(text)
  const element = Buffer.alloc(4 + bytes.length)
  element.writeUInt32LE(bytes.length, 0)
  bytes.copy(element, 4)
  return element
}

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value, 0)
  return bytes
}

export function promptRequest(model: string, prompt: string, maxTokens: number | undefined): Message {
  const limit = maxTokens === undefined ? [] : [{ name: 'max_tokens', datatype: 'INT32', shape: [1], raw: int32(maxTokens) }]
  const inputs = [{ name: 'text_input', datatype: 'BYTES', shape: [1], raw: bytesElement(prompt) }, ...limit]
  return {
    model_name: model,
    inputs: inputs.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
    raw_input_contents: inputs.map(({ raw }) => raw),
  }
}

/** The first element of the output text_output, as language models of Triton's kind name it. */
export function textOf(response: Message): string | undefined {
  const outputs = (response.outputs ?? []) as readonly { name: string; contents?: { bytes_contents?: readonly Buffer[] } | null }[]
  const at = outputs.findIndex((output) => output.name === 'text_output')
  if (at < 0) return undefined
  const raw = (response.raw_output_contents as readonly Buffer[] | undefined)?.[at]
  if (raw === undefined) return outputs[at]?.contents?.bytes_contents?.[0]?.toString('utf8')
  return raw.length < 4 ? undefined : raw.toString('utf8', 4, 4 + raw.readUInt32LE(0))
}

const endpointOf = (headers: Metadata): string | undefined => headers.get('x-millrace-endpoint')[0]?.toString()

export function inferUnary(client: Client, request: Message, deadlineMs: number): Promise<Outcome & { readonly answer: Answer }> {
  const what = method(service(), 'Infer')
  const started = performance.now()
  return new Promise((resolve, reject) => {
    let endpoint: string | undefined
    const options = { deadline: Date.now() + deadlineMs }
    const call = client.makeUnaryRequest(
      what.path,
      what.requestSerialize,
      what.responseDeserialize,
      request,
      new Metadata(),
      options,
      (error, response) => {
        if (error !== null || response === undefined) return reject(error)
        const totalMs = performance.now() - started
        resolve({ endpoint, answers: 1, firstMs: totalMs, totalMs, answer: { text: textOf(response), response } })
      },
    )
    call.on('metadata', (headers) => {
      endpoint = endpointOf(headers)
    })
  })
}

export function inferStream(
  client: Client,
  request: Message,
  deadlineMs: number,
  onAnswer: (answer: Answer) => void,
  onEndpoint: (endpoint: string | undefined) => void = () => {},
): Promise<Outcome> {
  const what = method(service(), 'StreamInfer')
  const started = performance.now()
  let endpoint: string | undefined
  let answers = 0
  let firstMs: number | undefined
  return new Promise((resolve, reject) => {
    const call = client.makeBidiStreamRequest(what.path, what.requestSerialize, what.responseDeserialize, new Metadata(), {
      deadline: Date.now() + deadlineMs,
    })
    call.on('metadata', (headers) => {
      endpoint = endpointOf(headers)
      onEndpoint(endpoint)
    })
    call.on('data', (message: Message) => {
      if (typeof message.error_message === 'string' && message.error_message !== '') {
        reject(new CommandFailure(`the model server answered: ${message.error_message}`))
        call.cancel()
        return
      }
      const response = (message.infer_response ?? {}) as Message
      firstMs ??= performance.now() - started
      answers++
      onAnswer({ text: textOf(response), response })
    })
    call.on('error', reject)
    call.on('end', () => {})
    call.on('status', ({ code }) => {
      if (code === 0) resolve({ endpoint, answers, firstMs, totalMs: performance.now() - started })
    })
    call.write(request)
    call.end()
  })
}
