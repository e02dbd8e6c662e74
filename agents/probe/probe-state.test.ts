import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import type { Evidence } from '../backend/endpoint-health.ts'
import { answered, FRESH_PROBES, judge, nextProbe, type ProbeState, seen, servedModels, signsOf, withModels } from './probe-state.ts'
import type { Signs, Verdict } from './weigh-answer.ts'

const MIDDLE = 0.5
const passed: Verdict = { kind: 'passed' }
const failed: Verdict = { kind: 'failed', reason: 'hangs' }
const busy: Verdict = { kind: 'busy', reason: 'full' }
const senseless: Verdict = { kind: 'senseless', reason: 'no input' }
const still: Signs = { progress: false, queued: false }
const ready: Evidence = { kind: 'ready' }

const models = (...names: string[]): ProbeState => withModels(FRESH_PROBES, names)
const answer = (state: ProbeState, model: string, verdict: Verdict, at: number, took = 10, draw = MIDDLE): ProbeState =>
  answered(state, { model, verdict, took: millis(took) }, millis(at), draw)
const sight = (state: ProbeState, at: number, work: number | undefined, queueDepth: number | undefined = 0): ProbeState =>
  seen(state, { at: millis(at), work, queueDepth })
const next = (state: ProbeState, at: number) => nextProbe(state, millis(at))

test('models are asked in turn, the new ones soon, then one in a period', () => {
  let state = models('a', 'b')
  expect(next(state, 0)).toBe('a')
  state = answer(state, 'a', passed, 10)
  expect(next(state, 1_000)).toBeUndefined()
  expect(next(state, 1_010)).toBe('b')
  state = answer(state, 'b', passed, 1_020)
  expect(next(state, 11_000)).toBeUndefined()
  expect(next(state, 11_020)).toBe('a')
})

test('agents that started together do not go on in step', () => {
  const after = (draw: number) => answer(models('a'), 'a', passed, 0, 10, draw).nextAt
  expect([after(0), after(0.999)]).toEqual([7_500, expect.closeTo(12_500, -2)])
})

test('an inference that takes long is asked seldom: at most its share of the time', () => {
  const state = answer(models('a'), 'a', passed, 4_000, 4_000)
  expect(state.nextAt - 4_000).toBe(4_000 / limits.deepProbeShare)
})

test('a server that finishes requests of others is left alone, yet not for ever', () => {
  let state = answer(models('a'), 'a', passed, 0)
  state = sight(state, 100, 50)
  expect(next(state, 10_000)).toBe('a')
  state = sight(state, 200, 51)
  expect(next(state, 10_000)).toBeUndefined()
  expect(next(state, limits.deepProbeLoadedPeriod)).toBe('a')
})

test('one bad answer is a doubt that is settled soon, two are a failure, one good answer ends it', () => {
  let state = answer(models('a', 'b'), 'a', failed, 0)
  expect(servedModels(state)).toEqual(['a', 'b'])
  expect(next(state, 1_000)).toBe('a')
  state = answer(state, 'a', failed, 1_000)
  expect(servedModels(state)).toEqual(['b'])
  state = answer(state, 'a', passed, 2_000)
  expect(servedModels(state)).toEqual(['a', 'b'])
})

test('a busy server is asked again seldom, and at once when its queue is gone', () => {
  let state = answer(models('a'), 'a', busy, 5_000, 5_000)
  expect(next(state, 24_000)).toBeUndefined()
  expect(next(state, 25_000)).toBe('a')
  state = sight(state, 7_000, 1, 0)
  expect(next(state, 7_000)).toBe('a')
})

test('a model that it makes no sense to ask is not asked again, until it was away', () => {
  let state = answer(models('a'), 'a', senseless, 0)
  expect(next(state, 1_000_000)).toBeUndefined()
  state = withModels(withModels(state, []), ['a'])
  expect(next(state, 1_000_000)).toBe('a')
})

test('a verdict on a model that went meanwhile is none', () => {
  const state = answer(models('b'), 'a', failed, 0)
  expect([...state.models.keys()]).toEqual(['b'])
})

test('counters that move are a sign of life, a queue only while work is done at all, and neither when it was not seen lately', () => {
  const moving = sight(sight(models('a'), 0, 1, 3), 2_000, 2, 3)
  const signs = (state: ProbeState, since: number, at: number) => signsOf(state, millis(since), millis(at))
  expect(signs(moving, 1_000, 2_100)).toEqual({ progress: true, queued: true })
  expect(signs(moving, 2_000, 2_100)).toEqual({ progress: false, queued: true })
  expect(signs(moving, 1_000, 2_000 + limits.loadAgeMax + 1)).toEqual(still)
  const stuckAt = 2_001 + limits.workSilenceMax
  expect(signs(sight(moving, stuckAt, 2, 3), 1_000, stuckAt)).toEqual({ progress: true, queued: false })
  expect(signs(models('a'), 0, 0)).toEqual(still)
})

const doubted = answer(models('a'), 'a', failed, 0)
const slow: Evidence = { kind: 'slow', reason: 'no answer' }

test.each<[string, Evidence, ProbeState, Signs, Evidence | 'as it was']>([
  ['a server without models to ask is what it says', ready, FRESH_PROBES, still, 'as it was'],
  [
    'a new server waits for its first probe',
    ready,
    models('a'),
    still,
    { kind: 'unproven', reason: 'the first probe of its models is under way' },
  ],
  ['one that works already does not', ready, models('a'), { progress: true, queued: false }, 'as it was'],
  ['one model that passed is enough', ready, answer(models('a', 'b'), 'a', passed, 0), still, 'as it was'],
  ['a model that cannot be asked counts as ready', ready, answer(models('a'), 'a', senseless, 0), still, 'as it was'],
  ['a first bad answer keeps a new server out', ready, doubted, still, { kind: 'bad', reason: 'model a: hangs' }],
  [
    'a bad answer of a model that answered before waits for the second',
    ready,
    answer(answer(models('a'), 'a', passed, 0), 'a', failed, 1),
    still,
    'as it was',
  ],
  ['a server without a model left has failed', ready, answer(doubted, 'a', failed, 1), still, { kind: 'bad', reason: 'model a: hangs' }],
  [
    'a model that turns probes away makes the server busy',
    ready,
    answer(models('a'), 'a', busy, 0),
    still,
    { kind: 'busy', reason: 'model a: full' },
  ],
  ['not when another passed', ready, answer(answer(models('a', 'b'), 'a', busy, 0), 'b', passed, 1), still, 'as it was'],
  ['what the health page says goes first', { kind: 'refused' }, answer(models('a'), 'a', passed, 0), still, 'as it was'],
  ['a slow health page is a fault', slow, models('a'), still, 'as it was'],
  [
    'unless the server finishes requests',
    slow,
    models('a'),
    { progress: true, queued: true },
    { kind: 'busy', reason: 'no answer, while it finishes other requests' },
  ],
])('%s', (_, health, state, signs, expected) => {
  expect(judge(health, state, signs)).toEqual(expected === 'as it was' ? health : expected)
})
