/**
 * `millrace bench --tokens`: does a gateway hand on each token when it comes? Opens the same streams direct and through it, and compares when the
 * tokens came. Works on any gateway that speaks KServe v2 streams. Ends with 1 when it buffers, and when that cannot be told.
 */
import { z } from 'zod'
import { flag, hostPort, readSettings, UsageError, wholeNumber } from '../core/edge/settings.ts'
import { CommandFailure } from './command-failure.ts'
import { loadService, type Message, method } from './grpc-call.ts'
import { parseRequest } from './infer.ts'
import { promptRequest } from './inference-call.ts'
import type { Target } from './token-client.ts'
import { comparisonText, verdictLine } from './token-report.ts'
import { timeTokens } from './token-run.ts'
import { type Comparison, compareSides, sideOf } from './token-verdict.ts'

/** host:port in clear text, or https://host:port. */
const place = z
  .string()
  .transform((text) => (/^https?:\/\//.test(text) ? text.replace(/\/$/, '') : `http://${text}`))
  .refine((origin) => hostPort.safeParse(origin.slice(origin.indexOf('//') + 2)).success, 'wants host:port or https://host:port')
const metadataEntry = z.string().regex(/^[a-z0-9_.-]+=./, 'wants name=value in lower case, for example authorization=Bearer\\ x')

const readBenchSettings = (argv: readonly string[]) =>
  readSettings(
    {
      name: 'bench',
      about:
        'Shows whether a gateway buffers a token stream: opens the same ModelStreamInfer streams direct and through it, in turn, and compares when each token came. Ends with 1 when it buffers or when that cannot be told.',
      example:
        'millrace bench --tokens --against 127.0.0.1:7400 --direct 127.0.0.1:8001 --model sim_llm --streams 4\n\nThe model server should run as many requests at once as there are --streams, else their queueing blurs the time to the first token.',
      settings: {
        tokens: { about: 'what is measured: streams of tokens', schema: flag, fallback: false },
        against: { value: 'host:port', about: 'the gateway; https://host:port for TLS', schema: place },
        direct: { value: 'host:port', about: 'a model server behind it; https://host:port for TLS', schema: place },
        model: { value: 'name', about: 'the model', schema: z.string().min(1) },
        prompt: { value: 'text', about: 'sent as the input text_input', schema: z.string(), fallback: 'What is a mill race?' },
        maxTokens: { value: 'n', about: 'sent as the input max_tokens', schema: wholeNumber(2, 1_000_000), fallback: 64 },
        request: { value: 'json', about: 'a whole ModelInferRequest instead, bytes in base64', schema: z.string() },
        streams: { value: 'n', about: 'streams open at once, both sides together', schema: wholeNumber(1, 1_000), fallback: 4 },
        rounds: { value: 'n', about: 'streams of each side in each of these places', schema: wholeNumber(1, 10_000), fallback: 8 },
        metadata: { value: 'name=value', about: 'sent with every request; may be repeated', schema: z.array(metadataEntry), fallback: [] },
        ca: { value: 'file', about: 'certificate authority of an https side', schema: z.string().min(1) },
        maxAddedTtft: { value: 'ms', about: 'ends with 1 when the median adds more', schema: z.coerce.number().positive() },
        deadline: { value: 'seconds', about: 'for each stream', schema: z.coerce.number().positive().max(86_400), fallback: 60 },
        json: { about: 'prints the numbers as JSON', schema: flag, fallback: false },
      },
    },
    argv,
  )

type BenchSettings = ReturnType<typeof readBenchSettings>

export async function main(argv: readonly string[]): Promise<void> {
  const settings = readBenchSettings(argv)
  if (!settings.tokens) throw new UsageError('wants --tokens, which names what is measured; --help shows an example')
  const plan = planOf(settings)
  const showProgress = process.stderr.isTTY
  const times = await timeTokens(plan, (done, all) => {
    if (showProgress) process.stderr.write(`\r${done} of ${all} streams${done === all ? '\n' : ''}`)
  })
  const comparison = compareSides(sideOf(times.direct), sideOf(times.through))
  const sides = { direct: plan.direct.origin, against: plan.through.origin }
  process.stdout.write(settings.json ? `${JSON.stringify({ ...sides, ...comparison }, null, 2)}\n` : comparisonText(comparison, sides))
  const failure = failureOf(comparison, settings.maxAddedTtft)
  if (failure !== undefined) throw new CommandFailure(failure)
}

function planOf(settings: BenchSettings) {
  const { against, direct, ca, streams, rounds } = settings
  if (against === undefined || direct === undefined)
    throw new UsageError('wants --against and --direct, for example --against 127.0.0.1:7400 --direct 127.0.0.1:8001')
  const side = (name: string, origin: string): Target => ({ side: name, origin, ca })
  const what = method(loadService('inference/grpc_service.proto', 'inference.GRPCInferenceService'), 'ModelStreamInfer')
  const metadata = Object.fromEntries(
    settings.metadata.map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
  )
  const call = { path: what.path, request: what.requestSerialize(requestOf(settings)), metadata, deadlineSeconds: settings.deadline }
  return { direct: side('direct', direct), through: side('through the gateway', against), call, streams, rounds }
}

function requestOf({ request, model, prompt, maxTokens }: BenchSettings): Message {
  if (request !== undefined) {
    const read = parseRequest(request, '--request')
    return model === undefined ? read : { ...read, model_name: model }
  }
  if (model === undefined) throw new UsageError('wants --model NAME, for example --model sim_llm')
  return promptRequest(model, prompt, maxTokens)
}

function failureOf(comparison: Comparison, maxAddedTtftMs: number | undefined): string | undefined {
  if (comparison.verdict.seen !== 'no-buffering') return verdictLine(comparison.verdict)
  const { p50Ms } = comparison.ttftAdded
  return maxAddedTtftMs !== undefined && p50Ms > maxAddedTtftMs
    ? `the first token comes ${p50Ms.toFixed(2)} ms later than direct, more than --max-added-ttft ${maxAddedTtftMs}`
    : undefined
}
