/**
 * A snapshot from a file (JSON, or YAML with the same names). Where it is wrong the complaint names file, line, field and cure.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isMap, isNode, LineCounter, parseDocument } from 'yaml'
import { z } from 'zod'
import { UsageError } from '../../core/edge/settings.ts'
import { isEndpointId } from '../../core/ids.ts'
import { ENDPOINT_STATES, type MeshSnapshot, POLICIES, PROTOCOLS } from '../../core/mesh-snapshot.ts'
import { readPlainJson } from './plain-json.ts'
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

const fileSchema = z.strictObject({
  models: z
    .array(z.strictObject({ name: z.string().min(1), policy: z.enum(POLICIES).default('LEAST_WAIT'), timeouts: timeouts.optional() }))
    .default([]),
  routes: z
    .array(z.strictObject({ prefix: z.string().startsWith('/', 'wants a path that begins with /'), model: z.string().min(1) }))
    .default([]),
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

/** Throws a UsageError that names the place, and nothing else: a file that changes under a running proxy must not end it. */
export function parseStaticFile(text: string, path: string): MeshSnapshot {
  try {
    return parse(text, path)
  } catch (error) {
    if (error instanceof UsageError) throw error
    // Aliases of nothing or beyond measure are only met where values are made, and nesting ends with the stack.
    throw new UsageError(`${path}: ${error instanceof RangeError ? 'nested too deeply' : firstLine(error)}`)
  }
}

const firstLine = (error: unknown): string => (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''

function parse(text: string, path: string): MeshSnapshot {
  const quick = fileSchema.safeParse(readPlainJson(text))
  if (quick.success && idTwice(quick.data.endpoints) === undefined) return snapshotOf(quick.data, text)
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, logLevel: 'error' })
  const broken = document.errors[0]
  if (broken !== undefined) throw new UsageError(`${path}: ${broken.message.split('\n')[0]}`)
  const read = fileSchema.safeParse(document.toJS())
  if (!read.success) {
    const issue = read.error.issues[0]
    if (issue === undefined) throw new UsageError(`${path}: not a snapshot`)
    const field = issue.path
      .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
      .join('')
      .replace(/^\./, '')
    const stranger = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined
    const line = lineOf(document.contents, issue.path, stranger, lines)
    throw new UsageError(
      `${path}:${line}: ${stranger === undefined ? field : [field, stranger].filter(Boolean).join('.')}: ${explain(issue, stranger)}`,
    )
  }
  const twice = idTwice(read.data.endpoints)
  if (twice !== undefined) {
    const at = read.data.endpoints.findLastIndex(({ id }) => id === twice)
    throw new UsageError(`${path}:${lineOf(document.contents, ['endpoints', at], undefined, lines)}: endpoint id ${twice} stands twice`)
  }
  return snapshotOf(read.data, text)
}

function snapshotOf(data: z.infer<typeof fileSchema>, text: string): MeshSnapshot {
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

export function readStaticFile(path: string): MeshSnapshot {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(
      `--static ${path}: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (error as Error).message}`,
    )
  }
  return parseStaticFile(text, path)
}

type Issue = z.core.$ZodIssue

const KNOWN: Readonly<Record<string, readonly string[]>> = {
  '': ['models', 'routes', 'endpoints'],
  models: ['name', 'policy', 'timeouts'],
  timeouts: ['perTryMs', 'firstByteMs', 'idleMs'],
  routes: ['prefix', 'model'],
  endpoints: ['id', 'node', 'zone', 'address', 'protocol', 'models', 'weight', 'state', 'capacity', 'tls'],
  tls: ['ca', 'cert', 'key', 'serverName', 'identity'],
}

function explain(issue: Issue, stranger: string | undefined): string {
  if (stranger === undefined) return issue.message
  return `there is no such field; known are ${(KNOWN[String(issue.path.findLast((part) => typeof part === 'string') ?? '')] ?? []).join(', ')}`
}

/** The line of the value at a path, of a key that should not be there, or of the nearest thing around them. */
function lineOf(root: unknown, path: readonly PropertyKey[], stranger: string | undefined, lines: LineCounter): number {
  let node: unknown = root
  let offset = 0
  const step = (next: unknown): void => {
    node = next
    if (isNode(next) && next.range != null) offset = next.range[0]
  }
  step(root)
  for (const part of path) {
    const next: unknown =
      isMap(node) || (isNode(node) && 'get' in node) ? (node as { get(key: unknown, keep: boolean): unknown }).get(part, true) : undefined
    if (next === undefined) break
    step(next)
  }
  if (stranger !== undefined && isMap(node)) {
    const pair = node.items.find((item) => String(item.key) === stranger)
    if (isNode(pair?.key) && pair.key.range != null) offset = pair.key.range[0]
  }
  return lines.linePos(offset).line
}
