/** Holds every kind to the same promises, on captured and composed pages (pages/README.md). */
import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { SourcedLoad } from '../../core/load-vector.ts'
import { millis } from '../../core/units.ts'
import { SERVER_KINDS, type ServerKind } from './kinds.ts'
import { type DatedReading, loadOf, withReading } from './load-of.ts'
import { LOAD_READERS, rateSpanOf, readLoad, recogniseKind } from './read-load.ts'

const PAGES = new URL('./pages/', import.meta.url)
const pageOf = (name: string): string => readFileSync(new URL(`${name}.txt`, PAGES), 'utf8')

const TORCHSERVE_MODEL = JSON.stringify([
  {
    modelName: 'resnet',
    batchSize: 4,
    workers: [{ status: 'READY' }, { status: 'READY' }, { status: 'UNLOADING' }],
    jobQueueStatus: { remainingCapacity: 93, pendingRequests: 7 },
  },
])

/** What the page and the bodies beside it say after the span of a rate (a second, of Ray 20) in which each counter grew by 5. */
type Case = [name: string, kind: ServerKind, bodies: readonly string[], load: SourcedLoad['load'], capacity: number | undefined]

const CASES: Case[] = [
  ['triton', 'triton', [], { queueDepth: 0, requestsPerSecond: 80 }, undefined],
  ['triton-2.51', 'triton', [], { queueDepth: 0, requestsPerSecond: 75 }, undefined],
  ['triton-docs', 'triton', [], {}, undefined],
  [
    'triton-trtllm',
    'triton',
    [],
    // 5 + 1 in Triton's queues, 4 in TensorRT-LLM's.
    { queueDepth: 10, running: 12, kvCacheUse: 0.75, requestsPerSecond: 20 },
    512,
  ],
  ['vllm-both-names', 'vllm', [], { queueDepth: 0, running: 0, kvCacheUse: 0, tokensPerSecond: 5, requestsPerSecond: 5 }, undefined],
  ['vllm-v0', 'vllm', [], { queueDepth: 0, running: 0, kvCacheUse: 0, tokensPerSecond: 5, requestsPerSecond: 5 }, undefined],
  ['vllm-v1-engines', 'vllm', [], { queueDepth: 9, running: 64, kvCacheUse: 0.91, tokensPerSecond: 10, requestsPerSecond: 15 }, undefined],
  ['sglang', 'sglang', [], { queueDepth: 2826, running: 162, kvCacheUse: 0.28, tokensPerSecond: 5 }, undefined],
  ['sglang-ranks', 'sglang', [], { queueDepth: 7, running: 42, kvCacheUse: 0.62, tokensPerSecond: 1000 }, undefined],
  ['tgi', 'tgi', ['{"max_concurrent_requests":128}'], { queueDepth: 0, running: 0, requestsPerSecond: 10 }, 128],
  ['torchserve', 'torchserve', [], { queueDepth: 25 / 1e6, requestsPerSecond: 25 }, undefined],
  ['torchserve-docs', 'torchserve', [TORCHSERVE_MODEL, TORCHSERVE_MODEL], { queueDepth: 14, requestsPerSecond: 5 }, 16],
  ['ray-serve', 'ray-serve', [], { queueDepth: 5, running: 2, requestsPerSecond: 0.25 }, undefined],
  ['ray-node', 'ray-serve', [], {}, undefined],
  ['tf-serving', 'tf-serving', [], { queueDepth: 5 / 1e6, running: 5 / 1e6, requestsPerSecond: 15 }, undefined],
  ['llama-cpp', 'llama-cpp', ['{"total_slots":4}'], { queueDepth: 3, running: 4, kvCacheUse: 0.42, tokensPerSecond: 5 }, 4],
]

const COUNTER = /^([a-zA-Z_:]*(?:_success|_failure|_total|_count|_requests|_sum|_microseconds)(?:\{.*\})?) (\S+)$/gm
const LEVEL = /^(nv_inference_pending_request_count|vllm:num_|sglang:num_|llamacpp:requests_)/
const grown = (page: string): string =>
  page.replace(COUNTER, (line, head, count) => (LEVEL.test(head) ? line : `${head} ${Number(count) + 5}`))

function loadAfter(kind: ServerKind, pages: readonly string[], bodies: readonly string[] = []): SourcedLoad {
  const span = rateSpanOf(kind) ?? millis(1_000)
  let readings: readonly DatedReading[] = []
  for (const [at, page] of pages.entries())
    readings = withReading(readings, { at: millis(at * span), reading: readLoad(kind, page, bodies).reading }, span)
  return loadOf(readings, span)
}

test('every page and every kind is tried', () => {
  const files = readdirSync(PAGES).flatMap((file) => (file.endsWith('.txt') ? [file.slice(0, -4)] : []))
  expect(CASES.map(([name]) => name).sort()).toEqual(files.sort())
  expect(new Set(CASES.map(([, kind]) => kind))).toEqual(new Set(SERVER_KINDS))
  expect(Object.entries(LOAD_READERS).every(([kind, reader]) => reader.kind === kind)).toBe(true)
})

test.each(CASES)('%s says what it says, and no more', (name, kind, bodies, expected, capacity) => {
  const { load, capacity: told } = loadAfter(kind, [pageOf(name), grown(pageOf(name))], bodies)
  expect(Object.keys(load).sort()).toEqual(Object.keys(expected).sort())
  for (const [field, value] of Object.entries(expected)) expect(load[field as keyof typeof load], field).toBeCloseTo(value, 9)
  expect(told).toBe(capacity)
})

test.each(CASES)('%s: a number has a source, and a source is on the page or on a page beside it', (name, kind, bodies) => {
  const { load, capacity, sources } = loadAfter(kind, [pageOf(name), grown(pageOf(name))], bodies)
  expect(Object.keys(sources).sort()).toEqual([...Object.keys(load), ...(capacity === undefined ? [] : ['capacity'])].sort())
  for (const source of Object.values(sources)) {
    const families = source.replace(/^difference of (.*) over [\d.]+ s$/, '$1').split(' + ')
    for (const family of families) if (!family.startsWith('/')) expect(pageOf(name)).toContain(`\n${family.replace(/\{.*\}$/, '')}`)
  }
})

test.each(CASES)('%s: what is missing is absent, family by family', (name, kind, bodies) => {
  const whole = loadAfter(kind, [pageOf(name), grown(pageOf(name))], bodies)
  for (const family of LOAD_READERS[kind].families) {
    const page = pageOf(name)
      .split('\n')
      .filter((line) => !line.startsWith(`${family}{`) && !line.startsWith(`${family} `) && !line.startsWith(`${family}_total`))
      .join('\n')
    const less = loadAfter(kind, [page, grown(page)], bodies)
    expect(Object.keys(whole.load)).toEqual(expect.arrayContaining(Object.keys(less.load)))
    for (const source of Object.values(less.sources)) expect(source.split(/[^a-zA-Z0-9_:]/)).not.toContain(family)
  }
  expect(loadAfter(kind, ['', '']).load).toEqual({})
})

test.each(CASES)('%s: a server that started again is no rate', (name, kind, bodies) => {
  const { load } = loadAfter(kind, [grown(pageOf(name)), pageOf(name)], bodies)
  const levels = loadAfter(kind, [pageOf(name)], bodies).load
  expect(load).toEqual(levels)
})

test.each(CASES.filter(([, , , expected]) => Object.keys(expected).length > 0))('%s is recognised for what it is', (name, kind) => {
  expect(recogniseKind(pageOf(name))).toBe(kind)
})

test.each([
  ['nothing', ''],
  ['Ray without Ray Serve', pageOf('ray-node')],
  ['a page of histograms', pageOf('triton-docs')],
  ['two servers on one page', `${pageOf('tgi')}\n${pageOf('llama-cpp')}`],
  ['text', '<html>vllm:num_requests_waiting</html>'],
])('%s is no kind', (_, page) => {
  expect(recogniseKind(page)).toBeUndefined()
})

test('vLLM within Triton is Triton, and its tokens count', () => {
  const page = pageOf('triton') + pageOf('vllm-v1-engines')
  expect(recogniseKind(page)).toBe('triton')
  expect(loadAfter('triton', [page, grown(page)]).load.tokensPerSecond).toBe(10)
})

test('a model of TorchServe that does not answer makes its queue the mean that the counters tell', () => {
  const { load, sources } = loadAfter('torchserve', [pageOf('torchserve'), grown(pageOf('torchserve'))], [TORCHSERVE_MODEL, ''])
  expect(load.queueDepth).toBeCloseTo(25 / 1e6, 9)
  expect(sources.queueDepth).toBe('difference of ts_queue_latency_microseconds over 1.0 s')
})

test('a page with more samples than are kept says nothing', () => {
  const many = Array.from({ length: 3_000 }, (_, model) => `nv_inference_pending_request_count{model="m${model}"} 1`).join('\n')
  expect(readLoad('triton', many, [])).toEqual({ reading: {}, left: 1_000 })
})

/** A draw that repeats itself: a failure names its number. */
function* draws(seed: number): Generator<number, never> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    yield state / 2 ** 32
  }
}

function mutated(page: string, seed: number): string {
  const draw = draws(seed)
  const below = (most: number): number => Math.floor(draw.next().value * most)
  const bytes = Buffer.from(page)
  for (let changes = 1 + below(8); changes > 0; changes--) {
    const at = below(bytes.length)
    if (below(3) === 0) bytes.copy(bytes, at, below(bytes.length), below(bytes.length))
    else bytes[at] = below(4) === 0 ? below(256) : ('0123456789-+.eEnNaAiIfF{}",=\\# \n'.charCodeAt(below(32)) as number)
  }
  return bytes.toString('utf8', 0, below(5) === 0 ? below(bytes.length) : bytes.length)
}

test.each(CASES)('%s: no mutated page throws, and no number is one that cannot be', (name, kind, bodies) => {
  const page = pageOf(name)
  for (let seed = 1; seed <= 300; seed++) {
    const { load, capacity } = loadAfter(
      kind,
      [page, mutated(grown(page), seed)],
      bodies.map((body) => mutated(body, seed)),
    )
    for (const value of [...Object.values(load), capacity ?? 0]) expect(Number.isFinite(value) && value >= 0, `seed ${seed}`).toBe(true)
    expect(load.kvCacheUse ?? 0, `seed ${seed}`).toBeLessThanOrEqual(1)
    recogniseKind(mutated(page, seed))
  }
})
