import { expect, test } from 'vitest'
import { millis } from '../../../core/units.ts'
import { seededDraw } from '../../model-server/queue.ts'
import { BLOCK_TOKENS, blockHashes, type Prompt } from './arrival.ts'
import { Workload, type WorkloadRules } from './workload.ts'

const RULES: WorkloadRules = {
  prompt: { median: 300, sigma: 1, max: 10_000 },
  output: { median: 100, sigma: 1, max: 5_000 },
  tenants: [
    { name: 'small', share: 1 },
    { name: 'large', share: 3 },
  ],
}
const arrivals = (rules: WorkloadRules, count: number, rate = 10, seed = 1) => {
  const workload = new Workload(rules, rate, millis(0), seededDraw(seed))
  return Array.from({ length: count }, () => workload.next())
}

test('the same seed gives the same arrivals, another seed others', () => {
  expect(arrivals(RULES, 100)).toEqual(arrivals(RULES, 100))
  expect(arrivals(RULES, 100, 10, 2)).not.toEqual(arrivals(RULES, 100))
})

test.each([
  ['steady', RULES],
  ['in bursts', { ...RULES, bursts: { everySeconds: 10, lastingSeconds: 2, factor: 5 } }],
])('the rate over a long time is what was asked for: %s', (_, rules) => {
  const last = arrivals(rules, 50_000).at(-1)?.at ?? 0
  expect(50_000 / (last / 1000)).toBeCloseTo(10, 0)
})

test('bursts are bursts: the busiest seconds are far above those of a steady stream', () => {
  const busiest = (rules: WorkloadRules): number => {
    const seconds = new Map<number, number>()
    for (const { at } of arrivals(rules, 20_000)) seconds.set(Math.floor(at / 1000), (seconds.get(Math.floor(at / 1000)) ?? 0) + 1)
    return [...seconds.values()].toSorted((a, b) => b - a)[20] as number
  }
  expect(busiest({ ...RULES, bursts: { everySeconds: 30, lastingSeconds: 3, factor: 5 } })).toBeGreaterThan(1.8 * busiest(RULES))
})

test('half of the prompts lie below the median, few far above it, none above the most', () => {
  const tokens = arrivals(RULES, 20_000).map(({ prompt }) => prompt.tokens)
  const share = (above: number): number => tokens.filter((one) => one > above).length / tokens.length
  expect(share(300)).toBeCloseTo(0.5, 1)
  expect(share(3_000)).toBeGreaterThan(0.005)
  expect(share(3_000)).toBeLessThan(0.02)
  expect(Math.max(...tokens)).toBeLessThanOrEqual(10_000)
})

test('tenants come by their shares', () => {
  const small = arrivals(RULES, 10_000).filter(({ tenant }) => tenant === 0).length
  expect(small / 10_000).toBeCloseTo(0.25, 1)
})

test('a turn of a session begins with all that was said before it', () => {
  const rules = { ...RULES, sessions: { turns: 4, live: 20, systemPrompts: 5, systemTokens: 64 } }
  const known = new Map<number, number>()
  let turns = 0
  for (const { prompt, outputTokens } of arrivals(rules, 5_000)) {
    expect(prompt.historyTokens).toBe(known.get(prompt.session) ?? 0)
    expect(prompt.tokens).toBeGreaterThan(prompt.historyTokens)
    if (prompt.historyTokens > 0) turns++
    known.set(prompt.session, prompt.tokens + outputTokens)
  }
  expect(turns / 5_000).toBeCloseTo(0.75, 1)
})

test('prompts agree in as many blocks as they have in common', () => {
  const prompt = (tokens: number, system: number, session: number): Prompt => ({
    tokens,
    system,
    systemTokens: 64,
    session,
    historyTokens: 0,
  })
  const common = (a: Prompt, b: Prompt): number => {
    const [of, other] = [blockHashes(a, 256), blockHashes(b, 256)]
    return of.findIndex((hash, at) => hash !== other[at])
  }
  expect(common(prompt(640, 1, 1), prompt(640, 1, 2))).toBe(64 / BLOCK_TOKENS)
  expect(common(prompt(640, 1, 1), prompt(640, 2, 2))).toBe(0)
  expect(common(prompt(320, 1, 1), prompt(640, 1, 1))).toBe(-1)
  expect(blockHashes(prompt(100_000, 1, 1), 256)).toHaveLength(256)
})
