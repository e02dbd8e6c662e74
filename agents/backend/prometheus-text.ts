/**
 * Reads a metrics page in Prometheus' text form, as servers really write it: spaces and a trailing comma among the labels, blank lines, names that begin
 * with a colon, exponents of three digits, a time stamp or an exemplar behind the value. A line that is none of it is skipped; nothing throws.
 */

export type Sample = { readonly name: string; readonly labels: Readonly<Record<string, string>>; readonly value: number }

const NAME = /^([a-zA-Z_:][a-zA-Z0-9_:]*)\s*/
const LABEL = /\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,|(?=}))/y
const VALUE = /^\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|[-+]?inf|nan)(?=\s|$)/i

/** Only the families in `wanted`: a page may have many thousands of lines that nobody asks for. */
export function parseMetrics(page: string, wanted: ReadonlySet<string>): Sample[] {
  const samples: Sample[] = []
  for (const line of page.split('\n')) {
    const name = NAME.exec(line)
    if (name?.[1] === undefined || !wanted.has(name[1])) continue
    const labels = readLabels(line, name[0].length)
    if (labels === undefined) continue
    const value = VALUE.exec(line.slice(labels.end))?.[1]
    if (value !== undefined) samples.push({ name: name[1], labels: labels.read, value: readNumber(value) })
  }
  return samples
}

function readLabels(line: string, start: number): { readonly read: Readonly<Record<string, string>>; readonly end: number } | undefined {
  const read: Record<string, string> = Object.create(null)
  if (line[start] !== '{') return { read, end: start }
  LABEL.lastIndex = start + 1
  let at = start + 1
  for (let label = LABEL.exec(line); label !== null; label = LABEL.exec(line)) {
    read[label[1] ?? ''] = (label[2] ?? '').replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped))
    at = LABEL.lastIndex
  }
  const close = /^\s*}/.exec(line.slice(at))
  return close === null ? undefined : { read, end: at + close[0].length }
}

function readNumber(text: string): number {
  if (/inf$/i.test(text)) return text.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  return /^nan$/i.test(text) ? Number.NaN : Number(text)
}
