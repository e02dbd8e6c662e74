import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { ConnectionLife, type LifeRules, type LifeStep } from './connection-life.ts'

const S = 1_000
const RULES: LifeRules = {
  askAfter: millis(20 * S),
  askAgainAfter: limits.keepaliveAgain,
  answerWithin: millis(20 * S),
  settingsWithin: millis(10 * S),
  idleMax: millis(0),
  ageMax: millis(0),
  retireGrace: millis(2 * S),
}

/** What happens in a second before the step: bytes that say nothing, messages, streams that open or end, SETTINGS; a ping is answered unless told. */
type Script = { readonly [second: number]: { talk?: true; noise?: true; streams?: number } }

function play(rules: Partial<LifeRules>, script: Script, seconds: number, options: { deaf?: true; settled?: boolean; calm?: number } = {}) {
  const life = new ConnectionLife({ ...RULES, ...rules }, millis(0), 0.5)
  const seen = { settled: options.settled ?? true, streams: 1, reads: 0, talk: 0 }
  const steps: [number, LifeStep][] = []
  for (let second = 1; second <= seconds; second++) {
    const { talk, noise, streams } = script[second] ?? {}
    if (talk || noise) seen.reads++
    if (talk) seen.talk++
    seen.streams = streams ?? seen.streams
    const step = life.step(seen, millis(second * S), options.calm)
    if (step === 'none') continue
    steps.push([second, step])
    if (step === 'lost' || step === 'close') break
    if (step === 'ping' && !options.deaf) seen.reads++
  }
  return steps
}

/** How a gRPC server of today counts: a ping that comes within five minutes of the last, with no data sent between them, is a strike; the third ends it. */
function strikesOf(pings: readonly number[], data: readonly number[]): number {
  let strikes = 0
  let last = Number.NEGATIVE_INFINITY
  for (const at of pings) {
    if (data.some((one) => one > last && one <= at)) {
      strikes = 0
      last = Number.NEGATIVE_INFINITY
    }
    if (at - last < 300) strikes++
    last = at
  }
  return strikes
}

test('a server that works in silence for an hour is asked now and then, and never earns us a strike', () => {
  const steps = play({}, {}, 3_600)
  expect(steps.every(([, step]) => step === 'ping')).toBe(true)
  const pings = steps.map(([second]) => second)
  expect(pings.slice(0, 3)).toEqual([20, 330, 640])
  expect(strikesOf(pings, [])).toBe(0)
})

test('whatever the silences between messages, no server counts a strike', () => {
  for (let gap = 5; gap < 700; gap += 23) {
    const talk = Array.from({ length: Math.floor(7_200 / gap) }, (_, at) => (at + 1) * gap)
    const noise = Array.from({ length: 400 }, (_, at) => at * 17)
    const script: Record<number, { talk?: true; noise?: true }> = {}
    for (const at of noise) script[at] = { noise: true }
    for (const at of talk) script[at] = { talk: true }
    const pings = play({}, script, 7_200).map(([second]) => second)
    expect(strikesOf(pings, talk), `messages every ${gap} s`).toBe(0)
  }
})

test('a peer that does not answer is given up, twenty seconds after it was asked', () => {
  expect(play({}, { 3: { talk: true } }, 100, { deaf: true })).toEqual([
    [23, 'ping'],
    [43, 'lost'],
  ])
})

test('anything that is read counts as an answer', () => {
  expect(play({}, { 30: { noise: true } }, 60, { deaf: true })).toEqual([[20, 'ping']])
})

test('without a stream nobody is asked, and keepalive can be off', () => {
  expect(play({}, { 1: { streams: 0 } }, 3_600)).toEqual([])
  expect(play({ askAfter: millis(0) }, {}, 3_600)).toEqual([])
})

test('a peer that complained is asked half as often', () => {
  expect(play({}, {}, 1_000, { calm: 2 }).map(([second]) => second)).toEqual([20, 640])
})

test('a peer without SETTINGS is given up', () => {
  expect(play({}, {}, 60, { settled: false, deaf: true })).toEqual([[10, 'lost']])
})

test('an idle connection is closed, a used one is not; the first stream after a long silence has its peer asked at once', () => {
  expect(play({ idleMax: millis(60 * S) }, { 5: { streams: 0 }, 50: { streams: 1 }, 70: { streams: 0 } }, 200)).toEqual([
    [50, 'ping'],
    [130, 'close'],
  ])
})

test('an old connection is announced, then retired, and closed when its last stream has ended', () => {
  const script = { 150: { streams: 0 } }
  expect(play({ askAfter: millis(0), ageMax: millis(100 * S) }, script, 300)).toEqual([
    [100, 'retire'],
    [102, 'finish'],
    [150, 'close'],
  ])
})

test('ages differ by a tenth either way', () => {
  const ageOf = (draw: number): number => {
    const life = new ConnectionLife({ ...RULES, ageMax: millis(1_000 * S) }, millis(0), draw)
    for (let second = 1; second <= 2_000; second++)
      if (life.step({ settled: true, streams: 0, reads: 0, talk: 0 }, millis(second * S)) === 'retire') return second
    return 0
  }
  expect([ageOf(0), ageOf(0.5), ageOf(0.999)]).toEqual([900, 1_000, 1_100])
})
