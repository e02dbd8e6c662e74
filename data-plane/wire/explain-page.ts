/**
 * "Why?" asked of a proxy itself, beside its metrics: GET /explain?model=NAME, or ?trace=ID, in the JSON form of ExplainReply. It names endpoints and traces, so
 * only callers on the same host are answered, wherever the page listens.
 */
import { isIPv4 } from 'node:net'
import { z } from 'zod'
import type { PageAnswer } from '../../core/edge/metrics.ts'
import { limits } from '../../core/limits.ts'
import { ExplainQuery, ExplainReply } from '../../proto/gen/millrace/mesh/v1/mesh.ts'

const wanted = z
  .strictObject({
    model: z.string().max(1024).default(''),
    trace: z
      .string()
      .regex(/^[0-9a-f]{32}$/, 'wants 32 hexadecimal digits in small letters')
      .optional(),
    decisions: z.coerce.number().int().min(1).max(limits.explainDecisionsMax).optional(),
  })
  .refine(({ model, trace }) => model !== '' || trace !== undefined, 'wants ?model=NAME, ?trace=ID, or both')

export async function explainPage(
  asked: URLSearchParams,
  caller: string | undefined,
  explain: (query: ExplainQuery) => Promise<ExplainReply | undefined>,
): Promise<PageAnswer> {
  if (!isLoopback(caller)) return { code: 403, text: 'only callers on the same host are answered; a control plane asks for others\n' }
  const parsed = wanted.safeParse(Object.fromEntries(asked))
  if (!parsed.success) return { code: 400, text: `${parsed.error.issues.map(wordsOf).join('; ')}\n` }
  const { model, trace = '', decisions = 0 } = parsed.data
  const reply = await explain(ExplainQuery.create({ model, traceId: trace, decisionsMax: decisions }))
  if (reply === undefined) return { code: 503, text: 'too many questions are open already: ask again\n' }
  return { code: 200, text: `${JSON.stringify(ExplainReply.toJSON(reply))}\n`, contentType: 'application/json' }
}

const wordsOf = ({ path, message }: z.core.$ZodIssue): string => (path.length === 0 ? message : `${path.join('.')}: ${message}`)

const isLoopback = (address = ''): boolean => {
  const plain = address.replace(/^::ffff:/, '')
  return plain === '::1' || (isIPv4(plain) && plain.startsWith('127.'))
}
