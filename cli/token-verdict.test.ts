import { expect, test } from 'vitest'
import { comparisonText, verdictLine } from './token-report.ts'
import { type Comparison, compareSides, quantile, sideOf } from './token-verdict.ts'

type Stream = { readonly asked: number; readonly came: readonly number[] }

/** The same dice for every run. */
function dice(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

/** Streams of a server that sends a token every `pace`, each astray by up to a tenth of it. */
function streams(pace: number, options: { tokens?: number; count?: number; seed?: number; late?: number } = {}): Stream[] {
  const { tokens = 64, count = 20, seed = 1, late = 0 } = options
  const draw = dice(seed)
  return Array.from({ length: count }, (_, i) => {
    const asked = i * 10_000
    return { asked, came: Array.from({ length: tokens }, (_, n) => asked + late + 20 + n * pace + draw() * pace * 0.1) }
  })
}

const changed = (all: readonly Stream[], change: (came: readonly number[], asked: number) => readonly number[]): Stream[] =>
  all.map(({ asked, came }) => ({ asked, came: change(came, asked) }))

const compare = (direct: readonly Stream[], through: readonly Stream[]): Comparison => compareSides(sideOf(direct), sideOf(through))
const seen = (direct: readonly Stream[], through: readonly Stream[]): string => compare(direct, through).verdict.seen

const direct = streams(10)

test('a gateway that hands each token on at once is clean, and what it adds is told', () => {
  const found = compare(direct, streams(10, { seed: 2, late: 0.2 }))
  expect(found.verdict).toEqual({ seen: 'no-buffering' })
  expect(found.ttftAdded.p50Ms).toBeGreaterThan(-0.3)
  expect(found.ttftAdded.p50Ms).toBeLessThan(0.7)
  expect(found.ttftAdded.p50ErrorMs).toBeGreaterThan(0)
})

test.each([
  ['for 50 ms', (came: readonly number[]) => came.map((at) => Math.ceil(at / 50) * 50)],
  ['in pairs', (came: readonly number[]) => came.map((at, i) => (i % 2 === 0 ? (came[i + 1] ?? at) : at))],
  ['to the end', (came: readonly number[]) => came.map(() => came.at(-1) ?? 0)],
  ['one in ten', (came: readonly number[]) => came.map((at, i) => (i % 10 === 0 ? (came[i + 1] ?? at) : at))],
  ['as a first with its second', (came: readonly number[]) => came.map((at, i) => (i === 0 ? (came[1] ?? at) : at))],
  ['one behind, the last flushed', (came: readonly number[]) => came.map((at, i) => came[i + 1] ?? at)],
])('tokens gathered %s are found out', (_what, gather) => {
  expect(seen(direct, changed(streams(10, { seed: 2 }), gather))).toBe('buffering')
})

test('a gateway that is slow by the same time for every token does not buffer', () => {
  expect(seen(direct, streams(10, { seed: 2, late: 40 }))).toBe('no-buffering')
})

test('stalls of a busy machine that meet both sides are nobody’s buffering', () => {
  const stalled = (all: readonly Stream[]): Stream[] =>
    changed(all, (came) => came.map((at, i) => (i % 16 === 5 ? (came[i + 1] ?? at) : at)))
  expect(seen(stalled(direct), stalled(streams(10, { seed: 2 })))).toBe('no-buffering')
})

test.each([
  ['few tokens', streams(10, { tokens: 3, count: 2 }), /only 4 gaps were seen/],
  ['a server without a pace', streams(0.2), /a token every 0\.\d+ ms, too fast to tell/],
  ['a server that sends in threes', changed(direct, (came) => came.map((_, i) => came[i - (i % 3)] ?? 0)), /sends tokens in batches/],
])('%s: it cannot be told, and the reason is', (_what, sides, why) => {
  const { verdict } = compare(sides, sides)
  expect(verdict.seen).toBe('unclear')
  expect(verdictLine(verdict)).toMatch(why)
})

test('quantiles are by nearest rank', () => {
  expect([0, 0.01, 0.5, 0.99, 1].map((q) => quantile([5, 1, 4, 2, 3], q))).toEqual([1, 1, 3, 5, 5])
})

test('times become first tokens and gaps', () => {
  const side = sideOf([
    { asked: 100, came: [120, 130, 145] },
    { asked: 200, came: [210] },
  ])
  expect(side).toEqual({ ttft: [20, 10], gaps: [10, 15], firstGaps: [10], lastGaps: [15], tokens: 4 })
})

test('the report names both sides and ends with the verdict', () => {
  const text = comparisonText(compare(direct, direct), { direct: 'http://a:1', against: 'http://b:2' })
  expect(text).toContain('direct   http://a:1: 20 streams, 1280 tokens')
  expect(text).toMatch(/added: p50 \+0\.00 ms \(± \d\.\d\d\), p99 \+0\.00 ms/)
  expect(text.trimEnd().split('\n').at(-1)).toBe('no buffering seen')
})
