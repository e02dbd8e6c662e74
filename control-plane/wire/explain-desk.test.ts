import { status } from '@grpc/grpc-js'
import { expect, test, vi } from 'vitest'
import { limits } from '../../core/limits.ts'
import type { ExplainRouteRequest, ExplainRouteResponse } from '../../proto/gen/millrace/admin/v1/admin.ts'
import type { ExplainQuery } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import { ExplainDesk } from './explain-desk.ts'

const request = (more: Partial<ExplainRouteRequest> = {}): ExplainRouteRequest => ({
  ...{ model: 'm', traceId: '', proxyId: '', decisionsMax: 3 },
  ...more,
})

function deskOf(count: number) {
  const asked: [stream: number, query: ExplainQuery][] = []
  const proxies = Array.from({ length: count }, (_, stream) => ({
    ...{ proxyId: `p${stream}`, stream },
    ask: (query: ExplainQuery) => void asked.push([stream, query]),
  }))
  const desk = new ExplainDesk(() => proxies)
  const ask = (more?: Partial<ExplainRouteRequest>) =>
    new Promise<ExplainRouteResponse | number>((resolve) => {
      void desk.handle({ request: request(more) }, (error, response) => resolve(response ?? (error as { code: number }).code))
    })
  const answer = (stream: number, queryId = asked.at(-1)?.[1].queryId ?? ''): void =>
    desk.answered(stream, { queryId, decisions: [], now: undefined })
  return { desk, asked, ask, answer }
}

test('every proxy is asked, and the answer comes with the last of theirs; a stranger’s counts for nobody', async () => {
  const { asked, ask, answer } = deskOf(2)
  const all = ask()
  expect(asked.map(([stream, { model, decisionsMax }]) => [stream, model, decisionsMax])).toEqual([
    [0, 'm', 3],
    [1, 'm', 3],
  ])
  answer(7)
  answer(1, 'another question')
  answer(1)
  answer(1)
  answer(0)
  expect(await all).toMatchObject({ proxies: [{ proxyId: 'p1' }, { proxyId: 'p0' }], silent: [], notAsked: 0 })
})

test('who does not answer in time is named', async () => {
  vi.useFakeTimers()
  const { ask, answer } = deskOf(2)
  const all = ask()
  answer(0)
  await vi.advanceTimersByTimeAsync(limits.explainTimeout)
  expect(await all).toMatchObject({ proxies: [{ proxyId: 'p0' }], silent: ['p1'] })
  vi.useRealTimers()
})

test('of many proxies so many are asked, and one alone when it is named', async () => {
  const { asked, ask, answer } = deskOf(limits.explainProxiesMax + 5)
  const all = ask()
  expect(asked).toHaveLength(limits.explainProxiesMax)
  for (let stream = 0; stream < limits.explainProxiesMax; stream++) answer(stream)
  expect(await all).toMatchObject({ notAsked: 5 })
  const one = ask({ proxyId: 'p3' })
  answer(3)
  expect(await one).toMatchObject({ proxies: [{ proxyId: 'p3' }], notAsked: 0 })
})

test.each([
  ['nothing', 1, { model: '' }, status.INVALID_ARGUMENT],
  ['a trace that is none', 1, { traceId: 'x' }, status.INVALID_ARGUMENT],
  ['a proxy that is not here', 1, { proxyId: 'stranger' }, status.NOT_FOUND],
  ['nobody', 0, {}, status.NOT_FOUND],
])('a question about %s is refused', async (_, proxies, more, code) => {
  expect(await deskOf(proxies).ask(more)).toBe(code)
})

test('so many questions wait at once', async () => {
  const { ask } = deskOf(1)
  for (let i = 0; i < limits.explainsWaitingMax; i++) void ask()
  expect(await ask()).toBe(status.RESOURCE_EXHAUSTED)
})
