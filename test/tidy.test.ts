/** Holds the shape of the house: imports point down, planes stay apart, no cycles, subject folders are pure. The rules are tested too. */
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'

/** A file in the layer may import its own layer and these. The longest matching prefix names a file's layer. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  'test/': ['cli/', 'sim/', 'control-plane/', 'data-plane/', 'agents/', 'core/edge/', 'core/', 'proto/gen/'],
  'cli/': ['sim/', 'control-plane/', 'data-plane/', 'agents/', 'core/edge/', 'core/', 'proto/gen/'],
  'sim/': ['control-plane/', 'data-plane/', 'agents/', 'core/edge/', 'core/', 'proto/gen/'],
  'control-plane/': ['core/edge/', 'core/', 'proto/gen/'],
  'data-plane/': ['core/edge/', 'core/', 'proto/gen/'],
  'agents/': ['core/edge/', 'core/', 'proto/gen/'],
  'core/edge/': ['core/', 'proto/gen/'],
  'core/': ['proto/gen/'],
  'proto/gen/': [],
}
const PLANES = ['control-plane', 'data-plane', 'agents']
/** No I/O, clock, dice, timers or packages: the vocabulary, and every subject folder of a plane (all but wire/, main.ts and config.ts). */
const PURE = [/^core\/(?!edge\/)/, new RegExp(`^(${PLANES.join('|')})/(?!wire/)[^/]+/`)]
const IMPURE_WORDS = /\b(Date\.now|new Date\(\)|Math\.random|performance\.now|setTimeout|setInterval|setImmediate|process\.(?!versions))/
const IMPORT =
  /(?:^|[\s;}])(?:import|export)\s*(type\s)?(?:[\w*{}\s,$]+\sfrom\s*)?["'](?<static>[^"']+)["']|import\(\s*["'](?<dynamic>[^"']+)["']/g

type Import = { readonly what: string; readonly typeOnly: boolean }

const layerOf = (path: string): string | undefined =>
  Object.keys(LAYERS)
    .filter((layer) => path.startsWith(layer))
    .sort((a, b) => b.length - a.length)[0]

const importsOf = (text: string): Import[] =>
  [...text.matchAll(IMPORT)].map((match) => ({
    what: match.groups?.static ?? match.groups?.dynamic ?? '',
    typeOnly: match[1] !== undefined,
  }))

const withoutComments = (text: string): string => text.replace(/\/\*[\s\S]*?\*\/|(^|\s)\/\/.*$/gm, '')

function breaches(file: string, text: string): string[] {
  const from = layerOf(file)
  const pure = PURE.some((rule) => rule.test(file))
  const found: string[] = []
  for (const { what } of importsOf(text)) {
    if (what.startsWith('.')) {
      if (!/\.(ts|json)$/.test(what)) found.push(`${file}: "${what}" must end in .ts`)
      const to = layerOf(normalize(join(dirname(file), what)))
      if (from !== undefined && to !== undefined && to !== from && !LAYERS[from]?.includes(to))
        found.push(`${file}: ${from} may not import ${to} (${what}); put what both need into core/`)
    } else if (pure) found.push(`${file}: pure code imports "${what}"; move the I/O into wire/ or core/edge/ and pass data in`)
  }
  const word = pure ? IMPURE_WORDS.exec(withoutComments(text)) : null
  if (word !== null) found.push(`${file}: pure code uses ${word[1]}; take the time, the draw or the setting as an argument`)
  return found
}

function cycles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>()
  const found: string[] = []
  const visit = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file)
    if (at >= 0) found.push([...path.slice(at), file].join(' → '))
    if (at >= 0 || done.has(file)) return
    for (const next of graph.get(file) ?? []) visit(next, [...path, file])
    done.add(file)
  }
  for (const file of graph.keys()) visit(file, [])
  return found
}

const files = globSync('{cli,core,control-plane,data-plane,agents,sim,test}/**/*.ts').filter((file) => !file.endsWith('.test.ts'))
const texts = new Map(files.map((file) => [file, readFileSync(file, 'utf8')]))

test('imports point down, planes stay apart, subject folders are pure', () => {
  expect([...texts].flatMap(([file, text]) => breaches(file, text))).toEqual([])
})

test('no import cycle', () => {
  const graph = new Map(
    [...texts].map(([file, text]) => [
      file,
      importsOf(text)
        .filter((one) => one.what.startsWith('.') && !one.typeOnly)
        .map((one) => normalize(join(dirname(file), one.what))),
    ]),
  )
  expect(cycles(graph)).toEqual([])
})

test('every plane has the five parts', () => {
  for (const plane of PLANES)
    for (const part of ['main.ts', 'config.ts']) expect(texts.has(`${plane}/${part}`), `${plane}/${part}`).toBe(true)
  for (const story of ['control-plane/control-loop.ts', 'data-plane/serve-request.ts', 'agents/sample-loop.ts'])
    expect(texts.has(story), story).toBe(true)
})

test('no file runs at the reader', () => {
  const long = [...texts].filter(([, text]) => text.split('\n').length > 450).map(([file]) => file)
  expect(long, 'split by subject').toEqual([])
})

test('the rules bite', () => {
  expect(breaches('core/x.ts', "import { m } from '../agents/main.ts'\nimport fs from 'node:fs'\nimport './y.js'")).toHaveLength(3)
  expect(breaches('data-plane/routing/p.ts', "const m = await import('../../control-plane/main.ts')")).toHaveLength(1)
  expect(breaches('agents/gpu/parse.ts', 'const now = Date.now()')).toHaveLength(1)
  expect(breaches('agents/gpu/parse.ts', '// Date.now() would lie here')).toEqual([])
  expect(breaches('agents/wire/run.ts', "import { spawn } from 'node:child_process'\nsetTimeout(f, 1)")).toEqual([])
  expect(breaches('core/x.ts', "import type { A } from './edge/log.ts'")).toHaveLength(1)
  expect(
    cycles(
      new Map([
        ['a', ['b']],
        ['b', ['c']],
        ['c', ['a']],
      ]),
    ),
  ).toHaveLength(1)
})
