/**
 * Whole days of a busy fleet in virtual time, on the gate that the proxy uses: what a greedy tenant does to the others' latency. Service times have a long tail,
 * arrivals are random, and the fleet is as full as it can be.
 */
import { expect, test } from 'vitest'
import type { Admission, Endpoint } from '../../core/mesh-snapshot.ts'
import { millis } from '../../core/units.ts'
import type { Candidates } from '../routing/model-groups.ts'
import { RoutingTable } from '../routing/routing-table.ts'
import { Gate } from './gate.ts'
import { gateRules } from './gate-rules.ts'
import { type Pass, waits } from './pass.ts'
import { NOWHERE, type Placed, PlacedHeap } from './placed-heap.ts'

const PLACES = 64
const MEAN_MESSAGES = 50
const MESSAGE_MS = 4
/** Requests per millisecond that the places can serve. */
const CAPACITY = PLACES / (MEAN_MESSAGES * MESSAGE_MS)
const SPAN_MS = 120_000

const seeded = (seed: number) => () => {
  seed = (seed * 48_271) % 2_147_483_647
  return seed / 2_147_483_647
}

type Request = { readonly tenant: string; readonly at: number; readonly messages: number }
type Event = Placed & { readonly at: number; readonly happen: () => void }

/** Latencies of those that were served, by tenant, and how many were refused. */
function playDay(row: Admission, loads: Readonly<Record<string, number>>, seed: number) {
  const draw = seeded(seed)
  const endpoint: Endpoint = {
    ...{ id: 'e', node: 'e', zone: '', address: '127.0.0.1:1', protocol: 'KSERVE_GRPC', models: ['llm'] },
    ...{ weight: 100, state: 'READY', freshness: 'fresh', capacity: PLACES },
  }
  const table = new RoutingTable({ version: '', routes: [], models: [], endpoints: [endpoint] })
  const gate = new Gate<Request>('llm', gateRules(row, 1), row, table.candidatesFor('llm') as Candidates)
  const latencies = Object.fromEntries(Object.keys(loads).map((tenant) => [tenant, [] as number[]]))
  const refused: Record<string, number> = {}
  const events = new PlacedHeap<Event>((a, b) => a.at < b.at)
  let now = 0
  const later = (ms: number, happen: () => void): void => events.push({ place: NOWHERE, at: now + ms, happen })
  const begin = (pass: Pass<Request>): void => {
    gate.open++
    const { messages, at, tenant } = pass.holder
    later(messages * MESSAGE_MS, () => {
      gate.open--
      gate.estimates.hold.add(messages * MESSAGE_MS)
      gate.finish(pass, 0, messages)
      latencies[tenant]?.push(now - at)
      for (let next = gate.next(millis(now)); next !== undefined; next = gate.next(millis(now))) begin(next)
    })
  }
  const arrive = (tenant: string): void => {
    later(-Math.log(1 - draw()) / ((loads[tenant] ?? 0) * CAPACITY), () => arrive(tenant))
    const holder = { tenant, at: now, messages: Math.max(1, Math.round(-Math.log(1 - draw()) * MEAN_MESSAGES)) }
    const arrival = {
      holder,
      tenant: row.tenantKey === undefined ? '' : tenant,
      deadline: undefined,
      bytes: 0,
      more: false,
      band: undefined,
    }
    const refuse = (one: Request): void => {
      refused[one.tenant] = (refused[one.tenant] ?? 0) + 1
    }
    const met = gate.arrive(arrival, millis(now), (pass) => {
      refuse(pass.holder)
      gate.finish(pass, 0, 0)
    })
    if ('reason' in met) refuse(holder)
    else if (!waits(met)) begin(met)
  }
  for (const tenant of Object.keys(loads)) arrive(tenant)
  for (let event = events.first; event !== undefined && event.at < SPAN_MS; event = events.first) {
    events.remove(event)
    now = event.at
    event.happen()
  }
  return { latencies, refused }
}

const p99 = (samples: readonly number[]): number => [...samples].sort((a, b) => a - b)[Math.floor(samples.length * 0.99)] as number

/** Five tenants, each with a fifth as its share; four of them use most of theirs. */
const POLITE = { a: 0.15, b: 0.15, c: 0.15, d: 0.15 }
const politeP99 = (latencies: Readonly<Record<string, number[]>>): number =>
  p99(Object.keys(POLITE).flatMap((name) => latencies[name] ?? []))

test.each([11, 12, 13])('one tenant at ten times its share leaves the others’ p99 within 1.2 of what it is without it, seed %i', (seed) => {
  const row: Admission = { concurrency: PLACES, tenantKey: 't' }
  const alone = politeP99(playDay(row, POLITE, seed).latencies)
  const greedy = playDay(row, { ...POLITE, greedy: 2 }, seed)
  const unfair = playDay({ concurrency: PLACES }, { ...POLITE, greedy: 2 }, seed)
  const ratio = politeP99(greedy.latencies) / alone
  process.stderr.write(
    `  measured: p99 ${ratio.toFixed(2)} × with fair shares, ${(politeP99(unfair.latencies) / alone).toFixed(2)} × without\n`,
  )
  expect(ratio).toBeLessThanOrEqual(1.2)
  expect(
    Object.keys(POLITE).reduce((sum, name) => sum + (greedy.refused[name] ?? 0), 0),
    'none of theirs is refused',
  ).toBe(0)
  expect(greedy.latencies.greedy?.length, 'what they leave is all used').toBeGreaterThan(0.38 * CAPACITY * SPAN_MS)
})
