import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { EMPTY_SNAPSHOT, type Endpoint } from '../../core/mesh-snapshot.ts'
import { millis } from '../../core/units.ts'
import { isTraced, traceIdOf } from '../grpc/trace-parent.ts'
import { headerField } from '../http2/header-field.ts'
import type { Exchange } from '../relay/exchange.ts'
import type { Ask } from '../routing/ask.ts'
import type { EndpointSlot } from '../routing/endpoint-slot.ts'
import type { Candidates } from '../routing/model-groups.ts'
import { pick } from '../routing/pick.ts'
import { RoutingTable } from '../routing/routing-table.ts'
import { DecisionBook, type DecisionRecord } from './decision-book.ts'
import { describeChoice } from './describe-choice.ts'
import { Explainer } from './explainer.ts'

const now = millis(5_000)
const endpoint = (id: string, more: Partial<Endpoint> = {}): Endpoint => ({
  ...{ id, node: id, zone: '', address: '127.0.0.1:1', protocol: 'KSERVE_GRPC', models: ['*'], weight: 100 },
  ...{ state: 'READY', freshness: 'fresh', capacity: 0 },
  ...more,
})
const fleet = (endpoints: readonly Endpoint[]): RoutingTable => new RoutingTable({ ...EMPTY_SNAPSHOT, endpoints })
const candidatesOf = (table: RoutingTable): Candidates => table.candidatesFor('m') as Candidates
const about = { model: 'm', snapshotVersion: 'v7' }

test('a choice names the chosen one and whom it was weighed against, with the terms that decided', () => {
  const table = fleet(['a', 'b', 'c'].map((id) => endpoint(id)))
  for (const [id, queueDepth] of [
    ['a', 9],
    ['b', 0],
    ['c', 9],
  ] as const)
    table.slot(id)?.report({ load: { queueDepth }, sampledAt: millis(4_900) })
  const ask: Ask = { now, draw: () => 0.4, excluded: [], compared: [] }
  const chosen = pick(candidatesOf(table), ask) as EndpointSlot
  const choice = describeChoice(about, candidatesOf(table), ask, chosen)
  expect(choice).toMatchObject({ ...about, policy: 'LEAST_WAIT', candidatesTotal: 3, endpointsTotal: 3, passedOver: [] })
  expect(choice.candidates[0]).toMatchObject({ endpointId: chosen.id, compared: true, loadAgeMs: 100 })
  expect(choice.candidates.filter(({ compared }) => compared)).toHaveLength(2)
  expect(choice.candidates.map(({ endpointId }) => endpointId).toSorted()).toEqual(['a', 'b', 'c'])
  for (const { terms } of choice.candidates) expect(Object.values(terms).every(Number.isFinite)).toBe(true)
})

test('who could not be drawn is named with the cause', () => {
  const table = fleet([
    endpoint('ready'),
    endpoint('tried'),
    endpoint('busy', { state: 'BUSY' }),
    endpoint('silent', { freshness: 'last-resort' }),
    endpoint('lost'),
    endpoint('odd'),
    endpoint('failed', { state: 'FAILED' }),
    endpoint('gpu-gone', { state: 'FAILED', panic: 'never' }),
    endpoint('drained', { state: 'DRAINING' }),
    endpoint('careful', { state: 'DRAINING', panic: 'may' }),
    endpoint('young', { state: 'STARTING' }),
  ])
  const lost = table.slot('lost') as EndpointSlot
  Object.assign(lost, { ejected: true, trouble: 'connection refused' })
  table.resort(lost)
  const odd = table.slot('odd') as EndpointSlot
  odd.outlier = 'latency'
  table.resort(odd)
  const choice = describeChoice(
    about,
    candidatesOf(table),
    { now, draw: () => 0, excluded: [table.slot('tried') as EndpointSlot] },
    undefined,
  )
  expect(choice.candidates.map(({ endpointId }) => endpointId)).toEqual(['ready'])
  expect(Object.fromEntries(choice.passedOver.map(({ why, endpointIds }) => [endpointIds[0], why]))).toEqual({
    tried: 'tried already, or full',
    busy: 'BUSY while others are not',
    silent: 'silent for long: last resort',
    odd: 'left out by this proxy for a while: its answers begin far later than those of its peers',
    lost: 'this proxy cannot reach it: connection refused',
    failed: 'FAILED: only when nobody else is left',
    'gpu-gone': 'FAILED: never asked',
    drained: 'DRAINING: never asked',
    careful: 'DRAINING out of caution: only while nobody serves',
    young: 'STARTING: never asked',
  })
})

test('of a large fleet a bounded part is told, and how many there are', () => {
  const serving = Array.from({ length: 3_000 }, (_, at) => endpoint(`s${at}`))
  const failed = Array.from({ length: 3_000 }, (_, at) => endpoint(`f${at}`, { state: 'FAILED' }))
  const table = fleet([...serving, ...failed])
  const choice = describeChoice(about, candidatesOf(table), { now, draw: () => 0, excluded: [] }, table.slot('s2999'))
  expect([choice.candidates.length, choice.candidatesTotal, choice.endpointsTotal]).toEqual([limits.explainCandidatesMax, 3_000, 6_000])
  expect(choice.candidates[0]?.endpointId).toBe('s2999')
  expect(choice.passedOver).toMatchObject([{ count: limits.explainLookedAtMax }])
  expect(choice.passedOver[0]?.endpointIds).toHaveLength(limits.explainNamesMax)
})

const record = (at: number, trace = ''): DecisionRecord => ({
  ...{ at: millis(at), trace, attempt: 1, endpoint: 'a', firstByte: undefined, end: undefined },
  choice: { ...about, policy: 'LEAST_WAIT', candidates: [], candidatesTotal: 0, passedOver: [], endpointsTotal: 0 },
})

test('the book keeps the latest, newest first, and finds a trace among them', () => {
  const book = new DecisionBook()
  const many = limits.decisionsKept + 10
  for (let at = 0; at < many; at++) book.add(record(at, at === 20 ? 't' : ''))
  const all = book.find({ model: '', trace: '', most: many })
  expect([all.length, all[0]?.at, all.at(-1)?.at]).toEqual([limits.decisionsKept, many - 1, 10])
  expect(book.find({ model: 'm', trace: 't', most: 5 }).map(({ at }) => at)).toEqual([20])
  expect(book.find({ model: 'other', trace: '', most: 5 })).toEqual([])
})

test('one of so many requests is remembered, and traced ones and second attempts too, within a rate', () => {
  const book = new DecisionBook()
  const wanted = (count: number, traced: boolean, again: boolean, second: number): number =>
    Array.from({ length: count }, () => book.wants(traced, again, millis(second * 1_000))).filter(Boolean).length
  expect(wanted(10 * limits.decisionSampleEvery, false, false, 1)).toBe(10)
  expect(wanted(1_000, true, false, 2)).toBe(limits.decisionsPerSecond)
  expect(wanted(1_000, false, true, 3)).toBe(limits.decisionsPerSecond)
})

test('what was decided in a rehearsal is forgotten, and takes nothing of what is remembered in the same second', () => {
  const explainer = new Explainer()
  const table = fleet([endpoint('a')])
  const traced = () => ({ head: { trace: headerField('traceparent', TRACED) }, attempts: 0 }) as unknown as Exchange
  const decide = (): boolean => {
    const exchange = traced()
    if (!explainer.wants(exchange, now)) return false
    const ask: Ask = { now, draw: () => 0.4, excluded: [], compared: [] }
    const from = candidatesOf(table)
    explainer.note(exchange, 'm', 'v7', from, ask, pick(from, ask) as EndpointSlot)
    return true
  }
  const found = () => explainer.find({ model: '', trace: '', most: 1_000 }).length
  while (decide());
  expect(found()).toBe(limits.decisionsPerSecond)
  explainer.forget()
  expect(found()).toBe(0)
  expect([decide(), found()]).toEqual([true, 1])
})

const TRACED = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

test.each([
  [TRACED, true, '4bf92f3577b34da6a3ce929d0e0e4736'],
  ['00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00', false, '4bf92f3577b34da6a3ce929d0e0e4736'],
  ['00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0b', true, '4bf92f3577b34da6a3ce929d0e0e4736'],
  ['cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-more', true, '4bf92f3577b34da6a3ce929d0e0e4736'],
  ['00-00000000000000000000000000000000-00f067aa0ba902b7-01', true, ''],
  ['00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01', true, ''],
  ['nonsense', false, ''],
  ['', false, ''],
])('traceparent %s', (text, traced, id) => {
  const field = headerField('traceparent', text)
  expect([isTraced(field), traceIdOf(field)]).toEqual([traced, id])
})
