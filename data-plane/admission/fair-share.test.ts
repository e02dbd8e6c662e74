/**
 * Whole days of a busy fleet in virtual time, on the gate that the proxy uses: what a greedy tenant does to the others' latency. Arrivals are random, the fleet
 * is as full as it can be, and everybody begins at once on empty servers, which is the worst: what begins together ends together. Where requests take about
 * the same time nothing else undoes that; with a long tail their ends scatter.
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
import { WHEEL_GRAIN } from './timer-wheel.ts'

const PLACES = 64
const MEAN_MESSAGES = 50
const SPAN_MS = 120_000

/** How long a message takes, and how many an answer has, for a draw in [0, 1). */
type Work = { readonly messageMs: number; messages(draw: number): number }
const longTail: Work = { messageMs: 4, messages: (draw) => Math.max(1, Math.round(-Math.log(1 - draw) * MEAN_MESSAGES)) }
const muchAlike: Work = { messageMs: 20, messages: (draw) => MEAN_MESSAGES * (0.92 + 0.16 * draw) }

const seeded = (seed: number) => () => {
  seed = (seed * 48_271) % 2_147_483_647
  return seed / 2_147_483_647
}

type Request = { readonly tenant: string; readonly at: number; readonly messages: number }
type Event = Placed & { readonly at: number; readonly happen: () => void }

/** Latencies of those that were served, by tenant, how many were refused, and the part of all places that worked. */
function playDay(row: Admission, loads: Readonly<Record<string, number>>, seed: number, { messageMs, messages }: Work) {
  const draw = seeded(seed)
  const perMs = PLACES / (MEAN_MESSAGES * messageMs)
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
  let worked = 0
  let looks = Number.POSITIVE_INFINITY
  const letThrough = (): void => {
    for (let next = gate.next(millis(now)); next !== undefined; next = gate.next(millis(now))) begin(next)
    const again = gate.line.count === 0 ? Number.POSITIVE_INFINITY : gate.looksAgainAt(millis(now)) + WHEEL_GRAIN
    if (again >= looks) return
    looks = again
    later(again - now, () => {
      looks = Number.POSITIVE_INFINITY
      letThrough()
    })
  }
  const begin = (pass: Pass<Request>): void => {
    gate.opened(pass, millis(now))
    const { messages: sent, at, tenant } = pass.holder
    const took = millis(sent * messageMs)
    later(took, () => {
      worked += took
      gate.closed(pass, true, took)
      gate.finish(pass, 0, sent, millis(now))
      latencies[tenant]?.push(now - at)
      letThrough()
    })
  }
  const arrive = (tenant: string): void => {
    later(-Math.log(1 - draw()) / ((loads[tenant] ?? 0) * perMs), () => arrive(tenant))
    const holder = { tenant, at: now, messages: messages(draw()) }
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
      gate.finish(pass, 0, 0, millis(now))
    })
    if ('reason' in met) refuse(holder)
    else if (waits(met)) letThrough()
    else begin(met)
  }
  for (const tenant of Object.keys(loads)) arrive(tenant)
  for (let event = events.first; event !== undefined && event.at < SPAN_MS; event = events.first) {
    events.remove(event)
    now = event.at
    event.happen()
  }
  return { latencies, refused, busy: worked / (PLACES * SPAN_MS) }
}

const p99 = (samples: readonly number[]): number => [...samples].sort((a, b) => a - b)[Math.floor(samples.length * 0.99)] as number

const POLITE = ['a', 'b', 'c', 'd']
const politeP99 = (latencies: Readonly<Record<string, number[]>>): number => p99(POLITE.flatMap((name) => latencies[name] ?? []))

/** Five tenants, each with a fifth of all as its share, of which four use so much. */
const cases = [11, 12, 13].flatMap((seed) => [
  { seed, kind: 'of a long tail', work: longTail, ofShare: 0.75 },
  { seed, kind: 'much alike', work: muchAlike, ofShare: 0.6 },
])

test.each(cases)(
  'one tenant at ten times its share leaves the others’ p99 within 1.2 of what it is without it: requests $kind, seed $seed',
  ({ seed, kind, work, ofShare }) => {
    const row: Admission = { concurrency: PLACES, tenantKey: 't' }
    const polite = Object.fromEntries(POLITE.map((name) => [name, ofShare / 5]))
    const all = { ...polite, greedy: 2 }
    const alone = politeP99(playDay(row, polite, seed, work).latencies)
    const greedy = playDay(row, all, seed, work)
    const unfair = playDay({ concurrency: PLACES }, all, seed, work)
    const ratio = politeP99(greedy.latencies) / alone
    const without = politeP99(unfair.latencies) / alone
    process.stderr.write(
      `  measured, ${kind}: p99 ${ratio.toFixed(2)} × with fair shares, ${without.toFixed(2)} × without; ${percent(greedy.busy)} and ${percent(unfair.busy)} of the places work\n`,
    )
    expect(ratio).toBeLessThanOrEqual(1.2)
    expect(
      POLITE.reduce((sum, name) => sum + (greedy.refused[name] ?? 0), 0),
      'none of theirs is refused',
    ).toBe(0)
    expect(greedy.busy, 'what they leave is used').toBeGreaterThan(unfair.busy - 0.03)
  },
)

const percent = (part: number): string => `${(100 * part).toFixed(1)} %`
