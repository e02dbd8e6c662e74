/** A YAML or JSON file whose faults are told with their line and field, so that whoever wrote it finds them. */
import { isMap, isNode, LineCounter, parseDocument } from 'yaml'
import type { z } from 'zod'
import { UsageError } from './usage-error.ts'

export type Issue = z.core.$ZodIssue

/** The fields that may stand where a stranger stands. */
export type KnownFields = (path: readonly PropertyKey[]) => readonly string[]

export type PlacedFile = {
  /** Plain values, not checked yet. */
  readonly value: unknown
  /** One line: path, line, field and what is wrong. */
  complaint(issue: Issue, known?: KnownFields): string
  lineOf(path: readonly PropertyKey[]): number
}

/** Throws a UsageError for what is no YAML at all. `path` is only shown. */
export function readPlaced(text: string, path: string): PlacedFile {
  return inWords(path, () => {
    const lines = new LineCounter()
    const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, logLevel: 'error' })
    const broken = document.errors[0]
    if (broken !== undefined) throw new UsageError(`${path}: ${broken.message.split('\n')[0]}`)
    return {
      value: document.toJS(),
      complaint(given, known = () => []) {
        const issue = sharpest(given)
        const stranger = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined
        const line = lineOf(document.contents, issue.path, stranger, lines)
        const field = fieldOf(stranger === undefined ? issue.path : [...issue.path, stranger])
        const wrong = stranger === undefined ? issue.message : `there is no such field; known are ${known(issue.path).join(', ')}`
        return `${path}:${line}: ${field}: ${wrong}`
      },
      lineOf: (at) => lineOf(document.contents, at, undefined, lines),
    }
  })
}

/** Aliases of nothing or beyond measure are only met where values are made, and nesting ends with the stack. */
export function inWords<T>(path: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(`${path}: ${error instanceof RangeError ? 'nested too deeply' : firstLine(error)}`)
  }
}

const firstLine = (error: unknown): string => (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''

/** Of a value that may have several forms: what is wrong in the form that it comes nearest to. */
function sharpest(issue: Issue): Issue {
  if (issue.code !== 'invalid_union') return issue
  const inner = issue.errors
    .flat()
    .map((one) => sharpest({ ...one, path: [...issue.path, ...one.path] }))
    .filter((one) => one.path.length > issue.path.length || one.code === 'unrecognized_keys')
  return inner.reduce<Issue>((deepest, one) => (one.path.length > deepest.path.length || deepest === issue ? one : deepest), issue)
}

/** `servers[1].grpc` */
export const fieldOf = (path: readonly PropertyKey[]): string =>
  path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '')

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
