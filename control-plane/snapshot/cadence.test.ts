import { describe, expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { Endpoint, EndpointState, Freshness, Panic } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import { hello, Play } from '../testing/play.ts'
import { endpoint, HEALTH } from '../testing/reports.ts'
import { Cadence, calmPeriod, urgencyOf } from './cadence.ts'

const ready = Endpoint.fromPartial({
  id: 'a/t',
  address: 'h:1',
  models: ['m'],
  weight: 100,
  state: EndpointState.ENDPOINT_STATE_READY,
  freshness: Freshness.FRESHNESS_FRESH,
})

test.each<[what: string, before: Partial<Endpoint> | undefined, after: Partial<Endpoint> | undefined, urgency: string]>([
  ['a new endpoint', undefined, {}, 'calm'],
  ['one that is gone', {}, undefined, 'urgent'],
  ['another weight', {}, { weight: 50 }, 'calm'],
  ['another capacity', {}, { capacity: 3 }, 'calm'],
  ['another reason', {}, { stateReason: 'x' }, 'calm'],
  ['a failure', {}, { state: EndpointState.ENDPOINT_STATE_FAILED }, 'urgent'],
  ['a drain', {}, { state: EndpointState.ENDPOINT_STATE_DRAINING }, 'urgent'],
  ['a restart', {}, { state: EndpointState.ENDPOINT_STATE_STARTING }, 'urgent'],
  ['much to do', {}, { state: EndpointState.ENDPOINT_STATE_BUSY }, 'calm'],
  ['a recovery', { state: EndpointState.ENDPOINT_STATE_FAILED }, { state: EndpointState.ENDPOINT_STATE_PROBATION }, 'calm'],
  ['still failed, for another reason', { state: 5 }, { state: 5, stateReason: 'x' }, 'calm'],
  ['a GPU that asks for recovery', { state: 5 }, { state: 5, panic: Panic.PANIC_NEVER }, 'urgent'],
  ['silence', {}, { freshness: Freshness.FRESHNESS_STALE }, 'urgent'],
  ['the end of a silence', { freshness: Freshness.FRESHNESS_STALE }, {}, 'calm'],
  ['another address', {}, { address: 'h:2' }, 'urgent'],
  ['another model', {}, { models: ['n'] }, 'urgent'],
  ['one more model', {}, { models: ['m', 'n'] }, 'urgent'],
])('%s is told %4$s', (_what, before, after, urgency) => {
  expect(urgencyOf(before && { ...ready, ...before }, after && { ...ready, ...after })).toBe(urgency)
})

test('the first round is due at once, and after it each has its gap', () => {
  const cadence = new Cadence()
  const period = calmPeriod(1, true)
  expect(cadence.due('calm', 1, period, millis(0))).toBe(true)
  cadence.round(millis(0))
  const dueAfter = (ms: number, proxies: number) =>
    (['calm', 'urgent'] as const).map((urgency) => cadence.due(urgency, proxies, period, millis(ms)))
  expect(dueAfter(20, 10)).toEqual([false, true])
  expect(dueAfter(period, 10)).toEqual([true, true])
  // A thousand proxies take a while to be told: news gathers meanwhile.
  expect(dueAfter(20, 1_000)).toEqual([false, false])
  expect(dueAfter(1_000 * limits.pushGapPerProxy, 1_000)).toEqual([false, true])
})

test.each([
  [1, true, limits.calmPushPeriod],
  [300, true, limits.calmPushPeriod],
  [800, true, 400],
  [1_000, true, limits.calmPushPeriodMax],
  [limits.proxiesMax, true, limits.calmPushPeriodMax],
  // Each load is told again, and would grow old.
  [1_000, false, limits.calmPushPeriod],
])('%i proxies hear what can wait (loads hold: %s) every %i ms', (proxies, holds, period) => {
  expect(calmPeriod(proxies, holds)).toBe(period)
})

describe('in the control plane', () => {
  const told = (play: Play) => play.take().map(({ at, delta }) => [at, delta.upserts.length, delta.loads.length])
  const mesh = () => {
    const play = new Play()
      .connected()
      .reports('a')
      .reports('b')
      .do({ kind: 'proxy-hello', stream: 1, hello: hello('p') })
    play.run(1_000, ['a', 'b']).ack(1).take()
    return play
  }

  test('what always changes is told four times a second; a failure does not wait for that, and takes along what waits', () => {
    const play = mesh()
    for (let capacity = 1; capacity <= 50; capacity++) play.reports('a', { endpoints: [endpoint('a', { capacity })] }).run(20)
    expect(told(play).map(([at]) => at)).toEqual([1020, 1280, 1540, 1800])
    play.reports('a', { endpoints: [endpoint('a', { capacity: 1 })] }).run(240)
    play.reports('a', { endpoints: [endpoint('a', { capacity: 2 })] }).run(20)
    play.reports('b', { endpoints: [endpoint('b', { health: HEALTH.failed })] }).run(20)
    expect(told(play).at(-1)).toEqual([2280, 2, 0])
  })

  test('loads that are due with a round go in its message; alone they want no answer', () => {
    const play = mesh()
    const load = { queueDepth: 9 }
    play.reports('a', { endpoints: [endpoint('a', { capacity: 7, load })] }).run(20)
    expect(told(play)).toEqual([[1020, 1, 1]])
    play.reports('a', { endpoints: [endpoint('a', { capacity: 7, load: { queueDepth: 30 } })] }).run(300)
    expect(play.take().map(({ delta }) => [delta.nonce, delta.loads.length])).toEqual([['', 1]])
  })
})
