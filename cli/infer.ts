/** `millrace infer`: one request through a proxy. Answers go to stdout as they come, what is said about them to stderr. */
import type { Client } from '@grpc/grpc-js'
import { z } from 'zod'
import { flag, hostPort, readSettings, UsageError, wholeNumber } from '../core/edge/settings.ts'
import { connect, explainCall, type Message } from './grpc-call.ts'
import { type Answer, inferStream, inferUnary, type Outcome, promptRequest } from './inference-call.ts'

const REQUEST_FIELDS = ['model_name', 'model_version', 'id', 'parameters', 'inputs', 'outputs', 'raw_input_contents']

const readInferSettings = (argv: readonly string[]) =>
  readSettings(
    {
      name: 'infer',
      about: 'Sends one request through a proxy, unary or as a stream whose tokens are printed as they come.',
      example: 'millrace infer --to 127.0.0.1:7400 --model sim_llm --prompt "What is a mill race?" --stream',
      settings: {
        to: { value: 'host:port', about: 'the proxy', schema: hostPort, fallback: '127.0.0.1:7400' },
        model: { value: 'name', about: 'the model', schema: z.string().min(1) },
        prompt: { value: 'text', about: 'sent as the input text_input', schema: z.string() },
        maxTokens: { value: 'n', about: 'sent as the input max_tokens', schema: wholeNumber(1, 1_000_000) },
        json: { value: 'json', about: 'a whole ModelInferRequest, bytes in base64; the answer is JSON too', schema: z.string() },
        stream: { about: 'opens a stream', schema: flag, fallback: false },
        deadline: { value: 'seconds', about: 'for the whole answer', schema: z.coerce.number().positive().max(86_400), fallback: 60 },
      },
    },
    argv,
  )

type InferSettings = ReturnType<typeof readInferSettings>

export async function main(argv: readonly string[]): Promise<void> {
  const settings = readInferSettings(argv)
  const request = requestOf(settings)
  const client = connect(settings.to)
  try {
    const outcome = await (settings.stream ? streamed(client, request, settings) : unary(client, request, settings))
    process.stderr.write(`${describe(outcome, settings.stream)}\n`)
  } catch (error) {
    throw explainCall(error, settings.to, 'start a proxy there (millrace up, or millrace data-plane), or choose another with --to')
  } finally {
    client.close()
  }
}

async function unary(client: Client, request: Message, settings: InferSettings): Promise<Outcome> {
  const outcome = await inferUnary(client, request, settings.deadline * 1000)
  print(outcome.answer, settings, '\n')
  return outcome
}

async function streamed(client: Client, request: Message, settings: InferSettings): Promise<Outcome> {
  const outcome = await inferStream(client, request, settings.deadline * 1000, (answer) => print(answer, settings, ''))
  if (settings.json === undefined) process.stdout.write('\n')
  return outcome
}

function requestOf(settings: InferSettings): Message {
  if ((settings.prompt === undefined) === (settings.json === undefined))
    throw new UsageError('wants either --prompt TEXT or --json REQUEST, for example --prompt "What is a mill race?"')
  if (settings.prompt !== undefined) {
    if (settings.model === undefined) throw new UsageError('wants --model NAME, for example --model sim_llm')
    return promptRequest(settings.model, settings.prompt, settings.maxTokens)
  }
  const request = parseRequest(settings.json ?? '', '--json')
  return settings.model === undefined ? request : { ...request, model_name: settings.model }
}

/** The fields of a ModelInferRequest from JSON; `source` is named in an error. */
export function parseRequest(text: string, source: string): Message {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new UsageError(`${source}: ${(error as Error).message}`)
  }
  const read = z.record(z.string(), z.unknown()).safeParse(value)
  if (!read.success) throw new UsageError(`${source}: wants an object, for example {"model_name":"sim_llm","inputs":[…]}`)
  const stranger = Object.keys(read.data).find((name) => !REQUEST_FIELDS.includes(name))
  if (stranger !== undefined) throw new UsageError(`${source}: no field "${stranger}"; there are ${REQUEST_FIELDS.join(', ')}`)
  return read.data
}

function print({ text, response }: Answer, settings: InferSettings, end: string): void {
  if (settings.json === undefined && text !== undefined) process.stdout.write(`${text}${end}`)
  else process.stdout.write(`${JSON.stringify(response, inBase64)}\n`)
}

/** JSON.stringify shows a Buffer as a list of numbers; protobuf's JSON wants base64. */
const inBase64 = (_name: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && (value as { type?: unknown }).type === 'Buffer'
    ? Buffer.from((value as { data: readonly number[] }).data).toString('base64')
    : value

export function describe(outcome: Outcome, stream: boolean): string {
  const ms = (value: number): string => `${value.toFixed(value < 10 ? 1 : 0)} ms`
  const first = outcome.firstMs === undefined || !stream ? [] : [`first after ${ms(outcome.firstMs)}`]
  const count = stream ? [`${outcome.answers} ${outcome.answers === 1 ? 'token' : 'tokens'}`] : []
  return [
    outcome.endpoint === undefined ? 'endpoint not named' : `served by ${outcome.endpoint}`,
    ...count,
    ...first,
    `${ms(outcome.totalMs)} in all`,
  ].join(' · ')
}
