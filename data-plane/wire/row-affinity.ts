/** The fields of a model's row that keep together what belongs together. */
import { z } from 'zod'
import { type HashOn, type PolicyName, SESSION_HEADER } from '../../core/mesh-snapshot.ts'

const header = z
  .string()
  .regex(/^[a-z0-9_.-]+$/, 'wants the name of a header field in small letters, for example x-session-id')
  .refine(
    (name) => name === SESSION_HEADER || !name.startsWith('x-millrace-'),
    `of the fields x-millrace-* a client may set ${SESSION_HEADER} only`,
  )
  .refine((name) => !name.startsWith('grpc-') && name !== 'te' && name !== 'content-length', 'is a field of gRPC or HTTP itself')

/** Longer than any that a client library writes. */
const PARAMETER_MAX = 100
const parameter = z
  .string()
  .regex(/^[\x21-\x7e]+$/, 'wants the name of a request parameter, for example user_id')
  .max(PARAMETER_MAX)

export const hashOn = z
  .strictObject({ header: header.optional(), parameter: parameter.optional() })
  .refine((one) => (one.header === undefined) !== (one.parameter === undefined), 'wants either a header or a parameter')
  .transform((one): HashOn => (one.header === undefined ? { parameter: one.parameter ?? '' } : { header: one.header }))

/** Longer than any tensor's name. */
const INPUT_MAX = 256
const prompt = z.strictObject({ input: z.string().min(1, 'wants the name of a tensor, for example text_input').max(INPUT_MAX) })

export const affinityFields = {
  hashOn: hashOn.optional(),
  pin: z.boolean().optional(),
  prompt: prompt.optional(),
  adapterOf: z.string().min(1).optional(),
  adapterParameter: parameter.optional(),
}

type Row = {
  readonly name: string
  readonly policy: PolicyName
  readonly prompt?: unknown
  readonly adapterOf?: string | undefined
  readonly adapterParameter?: string | undefined
}

/** What no field shows by itself. */
export function checkAffinity(row: Row, context: z.RefinementCtx): void {
  if (row.prompt !== undefined && row.policy !== 'PREFIX')
    context.addIssue({ code: 'custom', path: ['prompt'], message: 'is for the policy PREFIX: set it, or leave prompt out' })
}

/** What only all rows together show. */
export function checkAdapters(rows: readonly Row[], context: z.RefinementCtx): void {
  const adapters = new Set(rows.filter(({ adapterOf }) => adapterOf !== undefined).map(({ name }) => name))
  for (const [at, { adapterOf, adapterParameter }] of rows.entries()) {
    if (adapterOf === undefined) continue
    if (adapters.has(adapterOf))
      context.addIssue({
        code: 'custom',
        path: [at, 'adapterOf'],
        message: `wants the model below it, and ${adapterOf} is an adapter itself`,
      })
    if (adapterParameter !== undefined)
      context.addIssue({
        code: 'custom',
        path: [at, 'adapterParameter'],
        message: 'is for the model below: this one is an adapter by its name',
      })
  }
}

/** The fields within those. */
export const affinityKnown = { hashOn: ['header', 'parameter'], prompt: ['input'] } as const satisfies Readonly<
  Record<string, readonly string[]>
>
