import { expect, test } from 'vitest'
import { millis } from '../../core/units.ts'
import { type DatedReading, loadOf, loadReport, withReading } from './load-of.ts'
import { readLoad } from './read-load.ts'

const at = (when: number, text: string): DatedReading => ({ at: millis(when), reading: readLoad('triton', text, []).reading })
const fold = (...readings: DatedReading[]): readonly DatedReading[] =>
  readings.reduce<readonly DatedReading[]>((before, next) => withReading(before, next), [])
const load = (...readings: DatedReading[]) => loadOf(fold(...readings)).load

const queued = (count: string): string => `nv_inference_pending_request_count{model="llm",version="1"} ${count}\n`
const ended = (count: number, model = 'llm'): string => `nv_inference_request_success{model="${model}",version="1"} ${count}\n`

test('an idle server says zero, an empty page says nothing, and so does none', () => {
  expect(load(at(0, queued('0')))).toEqual({ queueDepth: 0 })
  expect(load(at(0, ''))).toEqual({})
  expect(loadOf([])).toEqual({ load: {}, sources: {} })
})

test.each(['NaN', '-1', '+Inf'])('a queue of %s is unknown, also when another model has a number', (value) => {
  expect(load(at(0, queued(value)))).toEqual({})
  expect(load(at(0, queued(value) + queued('3').replace('llm', 'echo')))).toEqual({})
})

test('requests per second are counted over at least a second, refused ones too', () => {
  const refused = (count: number): string => `nv_inference_request_failure{model="llm",reason="REJECTED",version="1"} ${count}\n`
  const readings = fold(at(0, ended(100) + refused(0)), at(500, ended(120) + refused(5)))
  expect(loadOf(readings)).toEqual({ load: {}, sources: {} })
  expect(loadOf(withReading(readings, at(1_250, ended(140) + refused(10))))).toEqual({
    load: { requestsPerSecond: 40 },
    sources: { requestsPerSecond: 'difference of nv_inference_request_success + nv_inference_request_failure over 1.3 s' },
  })
})

test('the rate follows the last second and forgets what was before', () => {
  const readings = [0, 250, 500, 750, 1_000, 1_250, 1_500, 1_750, 2_000].map((when) => at(when, ended(when < 1_000 ? 0 : when - 1_000)))
  expect(load(...readings)).toEqual({ requestsPerSecond: 1_000 })
})

test('a server that started again has no rate until a second after', () => {
  const readings = fold(at(0, ended(1_000)), at(1_000, ended(5)))
  expect(loadOf(readings).load).toEqual({})
  expect(loadOf(withReading(readings, at(2_000, ended(15)))).load).toEqual({ requestsPerSecond: 10 })
})

test('one counter that fell takes the rate away, however fast the others grow', () => {
  expect(load(at(0, ended(50) + ended(0, 'echo')), at(1_000, ended(2) + ended(1_000, 'echo')))).toEqual({})
})

test('a model that comes or goes is no spike: only what was there before and is there now counts', () => {
  expect(load(at(0, ended(10)), at(1_000, ended(12) + ended(1_000_000, 'echo')))).toEqual({ requestsPerSecond: 2 })
  expect(load(at(0, ended(10) + ended(1_000_000, 'echo')), at(1_000, ended(12)))).toEqual({ requestsPerSecond: 2 })
  expect(load(at(0, queued('1')), at(1_000, ended(1_000_000)))).toEqual({})
})

test.each([1, 10, 100, 250, 5_000])('readings that come every %d ms: few are kept, and a rate is there after the span', (step) => {
  let readings: readonly DatedReading[] = []
  for (let when = 0; when <= 60_000; when += step) readings = withReading(readings, at(when, ended(when)), millis(20_000))
  expect(readings.length).toBeLessThan(16)
  const { requestsPerSecond } = loadOf(readings, millis(20_000)).load
  expect(requestsPerSecond).toBeCloseTo(1_000, 6)
})

test('numbers that the server renews every 10 s are no spikes over a span of 20: off by half at most, not tenfold', () => {
  let readings: readonly DatedReading[] = []
  const rates: number[] = []
  for (let when = 0; when <= 60_000; when += 250) {
    readings = withReading(readings, at(when, ended(Math.floor((when + 1_300) / 10_000) * 1_000)), millis(20_000))
    rates.push(loadOf(readings, millis(20_000)).load.requestsPerSecond ?? 100)
  }
  expect(Math.min(...rates)).toBeGreaterThan(66)
  expect(Math.max(...rates)).toBeLessThanOrEqual(150)
})

test('a report names each number and where it is from, and what the owner says of the capacity goes first', () => {
  const told = { load: { queueDepth: 2 }, capacity: 512.5, sources: { queueDepth: 'a', capacity: 'b' } }
  expect(loadReport(told, undefined)).toEqual({
    load: { queueDepth: 2, running: undefined, kvCacheUse: undefined, tokensPerS: undefined, requestsPerS: undefined },
    loadSources: { queue_depth: 'a', capacity: 'b' },
    capacity: 512,
  })
  expect(loadReport(told, 8)).toMatchObject({ loadSources: { queue_depth: 'a', capacity: 'set for this server' }, capacity: 8 })
})

test.each([0, 0.5, 1e9])('a capacity of %d is not known, and has no source', (capacity) => {
  expect(loadReport({ load: {}, capacity, sources: { capacity: 'x' } }, undefined)).toMatchObject({ capacity: undefined, loadSources: {} })
})
