/** `millrace admin explain`: why requests for a model go where they go, and why a past one went where it went, as the proxies tell it. */
import { z } from 'zod'
import { flag, hostPort, readSettings, UsageError, wholeNumber } from '../core/edge/settings.ts'
import { limits } from '../core/limits.ts'
import { ExplainRouteResponse } from '../proto/gen/millrace/admin/v1/admin.ts'
import { ExplainReply } from '../proto/gen/millrace/mesh/v1/mesh.ts'
import { type ExplainedView, explainPage } from './admin-explain-page.ts'
import { CommandFailure } from './command-failure.ts'
import { callUnary, connect, explainCall, loadService, type Message, type Method, method } from './grpc-call.ts'

const verb = {
  name: 'admin explain',
  about:
    'Asks the proxies that follow a control plane why. With --model: how its endpoints stand now, by what each is judged, who is passed over and why; and the\n' +
    'latest decisions that were remembered. With --trace: what became of that request. Proxies remember a sample: one request of 128, those whose traceparent\n' +
    'says "sampled", and every attempt after the first.',
  example: 'millrace admin explain --model llm',
  settings: {
    to: { value: 'host:port', about: 'the control plane', schema: hostPort, fallback: '127.0.0.1:7401' },
    model: { value: 'name', about: 'the model', schema: z.string().min(1).max(1024) },
    trace: {
      value: 'id',
      about: 'a trace id as in traceparent',
      schema: z.string().regex(/^[0-9a-f]{32}$/, 'wants 32 hexadecimal digits in small letters, as they stand in traceparent'),
    },
    at: { value: 'host:port', about: 'one proxy itself, at its metrics address on this host, and no control plane', schema: hostPort },
    proxy: { value: 'id', about: 'this proxy alone', schema: z.string().min(1).max(128) },
    decisions: {
      value: 'n',
      about: 'decisions of each proxy, the newest first',
      schema: wholeNumber(1, limits.explainDecisionsMax),
      fallback: 10,
    },
    json: {
      about: 'JSON: a line for how things stand, one for each decision; simulate --replay reads them',
      schema: flag,
      fallback: false,
    },
  },
} as const

/** Longer than a control plane waits for its proxies. */
const CALL_DEADLINE_MS = limits.explainTimeout + 5_000

export async function main(argv: readonly string[]): Promise<void> {
  const { to, at, model, trace, proxy, decisions, json } = readSettings(verb, argv)
  if (model === undefined && trace === undefined) throw new UsageError('wants --model NAME, --trace ID, or both')
  if (at !== undefined && proxy !== undefined) throw new UsageError('--at asks one proxy itself: leave --proxy out')
  const service = loadService('millrace/admin/v1/admin.proto', 'millrace.admin.v1.AdminService')
  const explainRoute = method(service, 'ExplainRoute')
  const explained =
    at === undefined
      ? await askControlPlane(to, explainRoute, {
          model: model ?? '',
          trace_id: trace ?? '',
          proxy_id: proxy ?? '',
          decisions_max: decisions,
        })
      : await askProxy(at, explainRoute, {
          ...(model === undefined ? {} : { model }),
          ...(trace === undefined ? {} : { trace }),
          decisions: String(decisions),
        })
  process.stdout.write(json ? jsonLines(explained) : explainPage(explained))
}

async function askControlPlane(to: string, explainRoute: Method, request: Message): Promise<ExplainedView> {
  const client = connect(to)
  try {
    return (await callUnary(client, explainRoute, request, CALL_DEADLINE_MS)) as unknown as ExplainedView
  } catch (error) {
    throw explainCall(error, to, 'start a control plane there, or choose another with --to')
  } finally {
    client.close()
  }
}

/** The proxy's page says what it would tell a control plane; read as that would pass it on. */
async function askProxy(at: string, { responseDeserialize }: Method, asked: Readonly<Record<string, string>>): Promise<ExplainedView> {
  const url = `http://${at}/explain?${new URLSearchParams(asked)}`
  const response = await fetch(url, { signal: AbortSignal.timeout(CALL_DEADLINE_MS) }).catch(() => {
    throw new CommandFailure(`nothing answers at ${at}; --at wants the --metrics-listen of a proxy on this host`)
  })
  const text = await response.text()
  if (!response.ok) throw new CommandFailure(`${at} answers ${response.status}: ${text.trim()}`)
  const proxies = [{ proxyId: at, reply: ExplainReply.fromJSON(JSON.parse(text)) }]
  const bytes = ExplainRouteResponse.encode(ExplainRouteResponse.create({ proxies })).finish()
  return responseDeserialize(Buffer.from(bytes)) as unknown as ExplainedView
}

function jsonLines({ proxies, silent }: ExplainedView): string {
  const documents = proxies.flatMap(({ proxy_id, reply }) => [
    ...(reply?.now ? [{ proxy: proxy_id, now: reply.now }] : []),
    ...(reply?.decisions ?? []).map((decision) => ({ proxy: proxy_id, decision })),
  ])
  return [...documents, ...silent.map((proxy) => ({ proxy, silent: true }))].map((one) => `${JSON.stringify(one)}\n`).join('')
}
