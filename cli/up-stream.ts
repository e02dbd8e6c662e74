/** The end of `millrace up`: waits until a real request goes all the way, and shows a token stream as it comes. */
import { type Client, status } from '@grpc/grpc-js'
import { CommandFailure } from './command-failure.ts'
import { callUnary, isServiceError, loadService, type Message, method } from './grpc-call.ts'
import { describe } from './infer.ts'
import { inferStream, promptRequest } from './inference-call.ts'

const SERVING_DEADLINE_MS = 30_000
const ATTEMPT_DEADLINE_MS = 10_000
const PAUSE_MS = 50
const STREAM_DEADLINE_MS = 120_000

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, PAUSE_MS))

/** What a mesh answers whose parts have not all heard of one another yet: of nothing that serves, or not even of the model. */
const NOT_YET: readonly number[] = [status.UNAVAILABLE, status.NOT_FOUND]

/** Asks again while the mesh is not complete. */
async function patiently<T>(ask: () => Promise<T>, whatIsMissing: () => Promise<string>): Promise<T> {
  const deadline = performance.now() + SERVING_DEADLINE_MS
  for (;;)
    try {
      return await ask()
    } catch (error) {
      if (!isServiceError(error)) throw error
      if (!NOT_YET.includes(error.code)) throw new CommandFailure(`the first request failed: ${status[error.code]}: ${error.details}`)
      if (performance.now() > deadline)
        throw new CommandFailure(
          `no request goes through after ${SERVING_DEADLINE_MS / 1000} s: ${error.details}\n${await whatIsMissing()}`,
        )
      await pause()
    }
}

export const waitUntilServing = (client: Client, model: string, prompt: string, whatIsMissing: () => Promise<string>): Promise<unknown> =>
  patiently(() => inferStream(client, promptRequest(model, prompt, 1), ATTEMPT_DEADLINE_MS, () => {}), whatIsMissing)

/** The first model of the mesh that takes a text. */
export async function pickTextModel(client: Client, whatIsMissing: () => Promise<string>): Promise<string> {
  const service = loadService('inference/grpc_service.proto', 'inference.GRPCInferenceService')
  const call = (name: string, request: Message): Promise<Message> => callUnary(client, method(service, name), request, ATTEMPT_DEADLINE_MS)
  const index = await patiently(() => call('RepositoryIndex', { ready: true }), whatIsMissing)
  const names = ((index.models ?? []) as readonly { name: string }[]).map((model) => model.name)
  for (const name of names) {
    const metadata = await patiently(() => call('ModelMetadata', { name }), whatIsMissing)
    if (((metadata.inputs ?? []) as readonly { name: string }[]).some((input) => input.name === 'text_input')) return name
  }
  throw new CommandFailure(`none of the models ${names.join(', ') || '(there are none)'} takes an input text_input; name one with --model`)
}

export async function showStream(client: Client, model: string, prompt: string, isSimulated: (endpoint: string) => boolean): Promise<void> {
  process.stdout.write(`> ${prompt}\n`)
  const outcome = await inferStream(
    client,
    promptRequest(model, prompt, undefined),
    STREAM_DEADLINE_MS,
    ({ text, response }) => void process.stdout.write(text ?? `${JSON.stringify(response)}\n`),
    (endpoint) => void process.stdout.write(endpoint === undefined ? '' : `${endpoint}${isSimulated(endpoint) ? ' (simulated)' : ''}: `),
  )
  process.stdout.write(`\n  ${describe(outcome, true)}\n`)
}
