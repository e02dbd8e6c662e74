import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import type { EndpointOutcomes } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import { NO_OUTCOMES, ProxyViews } from './proxy-views.ts'

const row = (endpointId: string, fields: Partial<EndpointOutcomes> = {}): EndpointOutcomes => ({
  ...{ endpointId, inFlight: 0, successes: 0n, backpressures: 0n, failures: 0n, ejected: false },
  ...fields,
})
const known = (id: string): boolean => id !== 'stranger'
const say = (views: ProxyViews, stream: number, atMs: number, ...endpoints: EndpointOutcomes[]) =>
  views.report(stream, { endpoints }, known, millis(atMs))

test('what proxies hold adds up, and goes with each of them', () => {
  const views = new ProxyViews()
  say(views, 1, 0, row('a', { inFlight: 3, ejected: true }), row('b', { inFlight: 1 }))
  say(views, 2, 0, row('a', { inFlight: 4 }))
  say(views, 1, 1, row('a', { inFlight: 5, ejected: true }))
  expect([views.of('a'), views.of('b')]).toEqual([
    { inFlight: 9, ejectedBy: 1 },
    { inFlight: 1, ejectedBy: 0 },
  ])
  expect(views.gone(1)).toEqual(['a', 'b'])
  expect([views.of('a'), views.of('b'), views.gone(1)]).toEqual([{ inFlight: 4, ejectedBy: 0 }, { inFlight: 0, ejectedBy: 0 }, []])
})

test('a proxy that holds nothing is not kept, and strangers are passed over', () => {
  const views = new ProxyViews()
  expect(say(views, 1, 0, row('stranger', { inFlight: 9 }), row('a', { inFlight: 2 }), row('a'))).toEqual(['a', 'a'])
  expect([views.gone(1), views.of('stranger').inFlight]).toEqual([[], 0])
})

test('outcomes count for a window or two, over all proxies', () => {
  const views = new ProxyViews()
  const span = limits.outcomeWindow
  say(views, 1, 0, row('a', { successes: 5n, failures: 1n }))
  say(views, 2, span + 1, row('a', { failures: 2n, backpressures: 7n }))
  expect(views.outcomes('a', millis(2 * span - 1))).toEqual({ successes: 5, failures: 3, backpressures: 7 })
  expect(views.outcomes('a', millis(2 * span))).toEqual({ successes: 0, failures: 2, backpressures: 7 })
  expect(views.outcomes('a', millis(9 * span))).toEqual(NO_OUTCOMES)
})

test('an endpoint that is forgotten leaves nothing behind', () => {
  const views = new ProxyViews()
  say(views, 1, 0, row('a', { inFlight: 2, failures: 9n }))
  views.forget('a')
  expect([views.of('a').inFlight, views.outcomes('a', millis(1)), views.gone(1)]).toEqual([0, NO_OUTCOMES, []])
})
