/**
 * Snapshot files as people write them and as they should not: JSON and YAML, right, nearly right, torn, deep, with anchors and keys that stand twice. A
 * file is read, or refused with one error that a person can act on; JSON and YAML of the same content say the same.
 */
import { stringify } from 'yaml'
import { UsageError } from '../../core/edge/settings.ts'
import type { MeshSnapshot } from '../../core/mesh-snapshot.ts'
import { parseStaticFile } from '../../data-plane/wire/static-file.ts'
import type { Draw } from './draw.ts'
import { type Counts, must, type Play, type Target } from './target.ts'

const ODD: readonly unknown[] = [null, true, -1, 1e308, '', 'x', [], {}, [[]], '__proto__', { tls: 1 }, 2 ** 53]
const PIECES = [
  '{',
  '}',
  '[',
  ']',
  ':',
  ': ',
  '- ',
  '\n',
  '  ',
  '&a ',
  '*a',
  '*b',
  '<<: *a\n',
  '"',
  "'",
  '!!binary ',
  '---\n',
  '#',
  '\t',
  '\u0000',
  '|\n',
  '%YAML 1.9\n',
]

const endpoint = (draw: Draw, at: number): Record<string, unknown> => ({
  id: `node/${at}`,
  address: draw.pick(['127.0.0.1:8001', '[::1]:1', 'unix:/run/a', 'host:1']),
  ...(draw.oneIn(2) && { models: draw.pick([['*'], ['llm', 'b'], []]) }),
  ...(draw.oneIn(3) && { weight: draw.pick([0, 100, 2.5]), capacity: draw.below(100) }),
  ...(draw.oneIn(4) && { state: draw.pick(['READY', 'DRAINING', 'FAILED']) }),
  ...(draw.oneIn(5) && { tls: draw.pick([{}, { ca: 'ca.pem', serverName: 'x' }]) }),
})

const legal = (draw: Draw): Record<string, unknown> => ({
  ...(draw.oneIn(2) && {
    models: [{ name: 'llm', policy: 'ROUND_ROBIN', ...(draw.oneIn(2) && { timeouts: { perTryMs: 1 + draw.below(9_000) } }) }],
  }),
  ...(draw.oneIn(2) && { routes: [{ prefix: '/a.B/', model: 'llm' }] }),
  endpoints: Array.from({ length: draw.below(5) }, (_, at) => endpoint(draw, at)),
})

function read(text: string): MeshSnapshot | UsageError {
  try {
    return parseStaticFile(text, 'mesh.yaml')
  } catch (error) {
    if (error instanceof UsageError) return error
    throw new Error(`${(error as Error).name}: ${(error as Error).message} from ${JSON.stringify(text.slice(0, 300))}`)
  }
}

const content = (snapshot: MeshSnapshot | UsageError): string =>
  snapshot instanceof UsageError ? `refused: ${snapshot.message}` : JSON.stringify({ ...snapshot, version: '' })

function right(draw: Draw): void {
  const value = legal(draw)
  const json = content(read(JSON.stringify(value, undefined, draw.below(3))))
  must(!json.startsWith('refused'), json)
  const yaml = content(read(stringify(value)))
  must(json === yaml, `JSON reads as ${json}, YAML as ${yaml}`)
}

/** Something somewhere is another thing. */
function wrong(draw: Draw): void {
  const value = legal(draw)
  const places: [Record<string, unknown>, string][] = []
  const walk = (inside: unknown): void => {
    if (typeof inside !== 'object' || inside === null) return
    for (const [key, one] of Object.entries(inside)) {
      places.push([inside as Record<string, unknown>, key])
      walk(one)
    }
  }
  walk(value)
  if (places.length > 0) {
    const [owner, key] = draw.pick(places)
    owner[draw.oneIn(3) ? draw.pick(['id', 'extra', '__proto__', 'constructor']) : key] = draw.pick(ODD)
  }
  said(read(draw.oneIn(2) ? JSON.stringify(value) : stringify(value)))
}

function torn(draw: Draw): void {
  let text = draw.oneIn(2) ? JSON.stringify(legal(draw)) : stringify(legal(draw))
  for (let i = draw.between(1, 6); i > 0; i--) {
    const at = draw.below(text.length + 1)
    text = text.slice(0, at) + (draw.oneIn(4) ? '' : draw.pick(PIECES)) + text.slice(at + draw.below(4))
  }
  said(read(text))
}

/** Short to write, long to read. */
function deep(draw: Draw): void {
  const depth = 2 ** draw.between(3, 16)
  const bombs = [
    'a: &a [x,x,x,x,x,x,x,x]',
    ...Array.from({ length: 8 }, (_, i) => `${'bcdefghi'[i]}: &${'bcdefghi'[i]} [${`*${'abcdefgh'[i]},`.repeat(8)}]`),
  ]
  const texts = [
    '['.repeat(depth),
    '['.repeat(depth) + ']'.repeat(depth),
    '{"a":'.repeat(depth),
    `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`,
    '- '.repeat(Math.min(depth, 2_000)),
    bombs.join('\n'),
  ]
  said(read(draw.pick(texts)))
}

function said(result: MeshSnapshot | UsageError): void {
  if (!(result instanceof UsageError)) return
  must(result.message.startsWith('mesh.yaml') && !result.message.includes('\n'), `a complaint that names no place: ${result.message}`)
}

const counted =
  (act: (draw: Draw) => void, counts: Counts) =>
  (draw: Draw): void => {
    counts.frames++
    act(draw)
  }

class FilePlay implements Play {
  readonly moves: Play['moves']

  constructor(counts: Counts) {
    this.moves = Object.fromEntries(Object.entries({ right, wrong, torn, deep }).map(([name, act]) => [name, counted(act, counts)]))
  }

  end(): void {}
}

export const fileTarget: Target = {
  name: 'file',
  about: 'snapshot files, right and wrong, JSON and YAML',
  stepsMax: 40,
  weights: { right: 4, wrong: 8, torn: 8, deep: 0.3 },
  start: (_draw, counts) => new FilePlay(counts),
}
