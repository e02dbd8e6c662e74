/**
 * Reads a metrics page in Prometheus' text form or in OpenMetrics', as servers really write them: spaces and a trailing comma among the labels, blank lines,
 * names that begin with a colon, exponents of three digits, a time stamp or an exemplar behind the value. Kept is what somebody asked for, up to a bound.
 * Invariants: a line that is none of it is skipped, nothing throws, and what is kept holds nothing of the page's own text but its label values.
 */
import { limits } from '../../core/limits.ts'

export type Sample = { readonly name: string; readonly labels: Readonly<Record<string, string>>; readonly value: number }

export type Page = {
  /** By the name that was asked for; a sample's own name may have `_total` behind it, as OpenMetrics writes counters. */
  readonly samples: ReadonlyMap<string, readonly Sample[]>
  /** Samples that were asked for and not kept, because the page has too many. */
  readonly left: number
}

const NAME = /[a-zA-Z_:][a-zA-Z0-9_:]*/y
const TYPE = /# (?:TYPE|HELP)[ \t]+/y
const OPEN = /[ \t]*(\{?)/y
const LABEL = /[ \t]*(?:([a-zA-Z_][a-zA-Z0-9_]*)|"((?:[^"\\]|\\.)*)")[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*(?:,|(?=}))/y
const CLOSE = /[ \t]*}/y
const VALUE = /[ \t]*([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|[-+]?inf(?:inity)?|nan)(?=[ \t\r]|$)/iy
const COUNTER_END = '_total'
const END = '# EOF'

/** A page may have many thousands of lines that nobody asks for. */
export function parsePage(text: string, wanted: ReadonlySet<string>): Page {
  const samples = new Map<string, Sample[]>()
  let kept = 0
  let left = 0
  for (const line of linesOf(text)) {
    const name = match(NAME, line, 0)?.[0]
    const asked = name === undefined ? undefined : askedBy(name, wanted)
    if (name === undefined || asked === undefined) continue
    const sample = readSample(name, line)
    if (sample === undefined) continue
    if (kept === limits.metricSamplesMax) left++
    else {
      kept++
      const before = samples.get(asked)
      if (before === undefined) samples.set(asked, [sample])
      else before.push(sample)
    }
  }
  return { samples, left }
}

/** Which of the names the page knows, also those that it only announces and has no sample of yet. */
export function namesOn(text: string, among: ReadonlySet<string>): ReadonlySet<string> {
  const found = new Set<string>()
  for (const line of linesOf(text)) {
    const start = match(TYPE, line, 0)?.[0].length ?? 0
    const name = match(NAME, line, start)?.[0]
    const asked = name === undefined ? undefined : askedBy(name, among)
    if (asked !== undefined) found.add(asked)
  }
  return found
}

function* linesOf(text: string): Generator<string> {
  for (let at = 0; at < text.length; ) {
    const next = text.indexOf('\n', at)
    const end = next < 0 ? text.length : next
    // A longer line is no sample that anybody wrote, and matching it would cost.
    if (end > at && end - at <= limits.metricLineMax) {
      const line = text.slice(at, end)
      if (line.startsWith(END)) return
      yield line
    }
    at = end + 1
  }
}

function askedBy(name: string, wanted: ReadonlySet<string>): string | undefined {
  if (wanted.has(name)) return name
  const counter = name.endsWith(COUNTER_END) ? name.slice(0, -COUNTER_END.length) : undefined
  return counter !== undefined && wanted.has(counter) ? counter : undefined
}

function readSample(name: string, line: string): Sample | undefined {
  const labels: Record<string, string> = Object.create(null)
  const open = match(OPEN, line, name.length)
  let at = OPEN.lastIndex
  if (open?.[1] === '{') {
    for (let label = match(LABEL, line, at); label !== null; label = match(LABEL, line, at)) {
      labels[plain(label[1] ?? label[2] ?? '')] = plain(label[3] ?? '')
      at = LABEL.lastIndex
    }
    if (match(CLOSE, line, at) === null) return undefined
    at = CLOSE.lastIndex
  }
  const value = match(VALUE, line, at)?.[1]
  return value === undefined ? undefined : { name, labels, value: readNumber(value) }
}

function match(pattern: RegExp, line: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at
  return pattern.exec(line)
}

const plain = (text: string): string =>
  text.includes('\\') ? text.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped)) : text

function readNumber(text: string): number {
  if (/inf/i.test(text)) return text.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  return /^nan$/i.test(text) ? Number.NaN : Number(text)
}
