/**
 * A snapshot from a file (JSON, or YAML with the same names), whole or without endpoints, for a proxy that hears of these from a control plane.
 * Where it is wrong the complaint names file, line, field and cure.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { inWords, type KnownFields, readPlaced } from '../../core/edge/placed-file.ts'
import { UsageError } from '../../core/edge/settings.ts'
import { isEndpointId } from '../../core/ids.ts'
import { ENDPOINT_STATES, type MeshSnapshot, POLICIES, PROTOCOLS } from '../../core/mesh-snapshot.ts'
import { readPlainJson } from './plain-json.ts'
import { ADMISSION_FIELDS, rowAdmission } from './row-admission.ts'
import { affinityFields, affinityKnown, checkAdapters, checkAffinity } from './row-affinity.ts'
import { hedgeRow, RETRY_FIELDS, retryRow } from './row-retries.ts'
import { checkTargets, ROW_TARGETS_KNOWN, rowTargets } from './row-targets.ts'
import { zoneOrder } from './row-zones.ts'
import { identityProblem } from './tls-identity.ts'

/** A day: a larger number is a slip of units. */
const TIMEOUT_MAX_MS = 86_400_000

const address = z.string().regex(/^(unix:.+|(\[[0-9a-fA-F:]+\]|[^:\s/]+):\d{1,5})$/, 'wants host:port, [v6]:port or unix:/path')

const span = z.int().positive().max(TIMEOUT_MAX_MS).optional()
const timeouts = z.strictObject({ perTryMs: span, firstByteMs: span, idleMs: span })

const file = z.string().min(1, 'wants the path of a PEM file')
const tls = z
  .strictObject({
    ca: file.optional(),
    cert: file.optional(),
    key: file.optional(),
    serverName: z.string().min(1).optional(),
    identity: z
      .string()
      .superRefine((text, context) => {
        const message = identityProblem(text)
        if (message !== undefined) context.addIssue({ code: 'custom', message })
      })
      .optional(),
  })
  .refine((one) => (one.cert === undefined) === (one.key === undefined), 'cert and key need one another')

const rules = {
  models: z
    .array(
      z
        .strictObject({
          name: z.string().min(1),
          policy: z.enum(POLICIES).default('LEAST_WAIT'),
          timeouts: timeouts.optional(),
          ...affinityFields,
          admission: rowAdmission.optional(),
          retry: retryRow.optional(),
          hedge: hedgeRow.optional(),
          ...rowTargets,
        })
        .superRefine(checkAffinity),
    )
    .superRefine(checkAdapters)
    .default([]),
  routes: z
    .array(z.strictObject({ prefix: z.string().startsWith('/', 'wants a path that begins with /'), model: z.string().min(1) }))
    .default([]),
  zones: zoneOrder.optional(),
}

const wholeSchema = z.strictObject({
  ...rules,
  endpoints: z.array(
    z.strictObject({
      id: z.string().refine(isEndpointId, 'wants letters, digits and signs without blanks, for example gpu-a/triton'),
      node: z.string().default(''),
      zone: z.string().default(''),
      address,
      protocol: z.enum(PROTOCOLS).default('KSERVE_GRPC'),
      models: z.array(z.string().min(1)).default(['*']),
      weight: z.number().nonnegative().default(100),
      state: z.enum(ENDPOINT_STATES).default('READY'),
      capacity: z.int().nonnegative().default(0),
      tls: tls.optional(),
    }),
  ),
})

type Contents = z.infer<typeof wholeSchema>

/** What a file holds: a whole picture, or only what is said of models and routes. Each is the setting that names such a file. */
export type FileForm = 'static' | 'models'

const SCHEMAS: Readonly<Record<FileForm, z.ZodType<Contents>>> = {
  static: wholeSchema.superRefine((read, context) => checkTargets(read.models, read.endpoints, context)),
  models: z
    .strictObject(rules)
    .superRefine((read, context) => checkTargets(read.models, [], context))
    .transform((read) => ({ ...read, endpoints: [] })),
}

/** Throws a UsageError that names the place, and nothing else: a file that changes under a running proxy must not end it. */
export const parseStaticFile = (text: string, path: string, form: FileForm = 'static'): MeshSnapshot =>
  inWords(path, () => parse(text, path, form))

function parse(text: string, path: string, form: FileForm): MeshSnapshot {
  const schema = SCHEMAS[form]
  const quick = schema.safeParse(readPlainJson(text))
  if (quick.success && idTwice(quick.data.endpoints) === undefined) return snapshotOf(quick.data, text)
  const file = readPlaced(text, path)
  const read = schema.safeParse(file.value)
  if (!read.success) {
    const [issue] = read.error.issues
    throw new UsageError(issue === undefined ? `${path}: not a snapshot` : file.complaint(issue, knownIn(form)))
  }
  const twice = idTwice(read.data.endpoints)
  if (twice !== undefined) {
    const at = read.data.endpoints.findLastIndex(({ id }) => id === twice)
    throw new UsageError(`${path}:${file.lineOf(['endpoints', at])}: endpoint id ${twice} stands twice`)
  }
  return snapshotOf(read.data, text)
}

function snapshotOf(data: Contents, text: string): MeshSnapshot {
  const version = createHash('sha256').update(text).digest('hex').slice(0, 12)
  return { version, ...data, endpoints: data.endpoints.map((endpoint) => ({ ...endpoint, freshness: 'fresh' })) }
}

function idTwice(endpoints: readonly { readonly id: string }[]): string | undefined {
  const seen = new Set<string>()
  for (const { id } of endpoints) {
    if (seen.has(id)) return id
    seen.add(id)
  }
  return undefined
}

export function readStaticFile(path: string, form: FileForm = 'static'): MeshSnapshot {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(
      `--${form} ${path}: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (error as Error).message}`,
    )
  }
  return parseStaticFile(text, path, form)
}

const RULES = ['models', 'routes', 'zones']
const KNOWN: Readonly<Record<string, readonly string[]>> = {
  models: ['name', 'policy', 'timeouts', 'admission', 'retry', 'hedge', ...Object.keys(affinityFields), ...Object.keys(rowTargets)],
  ...affinityKnown,
  ...RETRY_FIELDS,
  admission: ADMISSION_FIELDS,
  ...ROW_TARGETS_KNOWN,
  timeouts: ['perTryMs', 'firstByteMs', 'idleMs'],
  routes: ['prefix', 'model'],
  endpoints: ['id', 'node', 'zone', 'address', 'protocol', 'models', 'weight', 'state', 'capacity', 'tls'],
  tls: ['ca', 'cert', 'key', 'serverName', 'identity'],
}

const knownIn =
  (form: FileForm): KnownFields =>
  (path) => {
    const around = path.findLast((part) => typeof part === 'string')
    if (around === undefined) return form === 'static' ? [...RULES, 'endpoints'] : RULES
    return KNOWN[String(around)] ?? []
  }
