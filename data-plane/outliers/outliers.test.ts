/** Plays of one worker's watch over its endpoints: who is sent away, for how long, and how it comes back. */
import { describe, expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { EMPTY_SNAPSHOT, type Endpoint, type EndpointState } from '../../core/mesh-snapshot.ts'
import { millis } from '../../core/units.ts'
import { EndpointSlot } from '../routing/endpoint-slot.ts'
import type { Outcome } from '../routing/ledger.ts'
import type { Candidates } from '../routing/model-groups.ts'
import { pick } from '../routing/pick.ts'
import { RoutingTable } from '../routing/routing-table.ts'
import { successBound } from './compare.ts'
import { OutlierWatch } from './outlier-watch.ts'

const endpoint = (id: string, more: Partial<Endpoint> = {}): Endpoint => ({
  ...{ id, node: id, zone: '', address: '127.0.0.1:1', protocol: 'KSERVE_GRPC', models: ['m'] },
  ...{ weight: 100, state: 'READY', freshness: 'fresh', capacity: 0 },
  ...more,
})
const seeded = (seed: number) => () => {
  seed = (seed * 48_271) % 2_147_483_647
  return seed / 2_147_483_647
}

/** Endpoints e0, e1, … of one model, and the time. */
function scene(
  count: number,
  more: (at: number) => Partial<Endpoint> = () => ({}),
  policy: 'LEAST_REQUEST' | 'LEAST_WAIT' = 'LEAST_REQUEST',
) {
  const endpoints = Array.from({ length: count }, (_, at) => endpoint(`e${at}`, more(at)))
  const table = new RoutingTable({ ...EMPTY_SNAPSHOT, models: [{ name: 'm', policy }], endpoints }, (one) => new EndpointSlot(one))
  const news: string[] = []
  const watch = new OutlierWatch({
    resort: (slot) => table.resort(slot),
    tell: ({ slot, change, why, forMs }) => news.push(`${slot.id} ${change} ${why}${forMs === undefined ? '' : ` ${forMs / 1000}s`}`),
  })
  let now = 0
  const draw = seeded(7)
  const slot = (at: number): EndpointSlot => table.slot(`e${at}`) as EndpointSlot
  const group = (): Candidates => table.candidatesFor('m') as Candidates
  const it = {
    table,
    watch,
    news,
    slot,
    group,
    score(at: number, outcome: Outcome, times = 1): void {
      for (let i = 0; i < times; i++) watch.score(slot(at), group(), outcome, millis(now))
    },
    began(at: number, ms: number, times = limits.outlierSlowSamples): void {
      for (let i = 0; i < times; i++) watch.beganAfter(slot(at), group(), millis(ms))
    },
    pass(seconds: number): void {
      for (let i = 0; i < seconds; i++) {
        now += 1_000
        watch.tick(millis(now))
      }
    },
    /** The part of so many requests that each endpoint is picked for, when each is over at once. */
    shares(picks = 4_000): readonly number[] {
      const counts: number[] = new Array(count).fill(0)
      for (let i = 0; i < picks; i++) {
        const picked = pick(group(), { now: millis(now), draw, excluded: [] })
        if (picked !== undefined) counts[Number(picked.id.slice(1))] = (counts[Number(picked.id.slice(1))] ?? 0) + 1
      }
      return counts.map((one) => one / picks)
    },
    away: (): string[] => table.slots.filter((one) => one.awayFor !== undefined).map((one) => `${one.id} ${one.awayFor}`),
    change(at: number, more: Partial<Endpoint>): void {
      table.upsert(endpoint(`e${at}`, more))
    },
  }
  it.pass(1)
  return it
}

describe('failures in a row', () => {
  test('send an endpoint away at the fifth, at once, and a success in between begins the count anew', () => {
    const it = scene(10)
    it.score(0, 'failure', 4)
    it.score(0, 'success')
    it.score(0, 'failure', 4)
    expect(it.away()).toEqual([])
    it.score(0, 'failure')
    expect(it.away()).toEqual(['e0 failures-in-row'])
    expect(it.shares()[0]).toBe(0)
    expect(it.news).toEqual(['e0 out failures-in-row 30s'])
  })

  test.each(['backpressure', 'neither', 'lost'] as const)('%s sends nobody away, however often, and does not part failures', (outcome) => {
    const it = scene(10)
    it.score(0, outcome, 10_000)
    it.pass(20)
    expect(it.away()).toEqual([])
    it.score(1, 'failure', 4)
    it.score(1, outcome, 3)
    it.score(1, 'failure')
    expect(it.away()).toEqual(['e1 failures-in-row'])
  })
})

describe('how many may be away', () => {
  test.each([
    [1, 0],
    [2, 1],
    [3, 1],
    [5, 1],
    [6, 2],
    [10, 3],
    [100, 33],
  ])('of %i endpoints that all fail %i are, and the others are said to be spared once', (count, away) => {
    const it = scene(count)
    for (let round = 0; round < 20; round++) for (let at = 0; at < count; at++) it.score(at, 'failure')
    expect(it.away().length).toBe(away)
    expect(it.news.filter((line) => line.includes('spared')).length).toBe(count - away)
    expect(it.watch.counts.spared).toBeGreaterThanOrEqual(count - away)
  })

  test.each<[string, (it: ReturnType<typeof scene>, at: number) => void]>([
    [
      'lost connections',
      (it, at) => {
        it.slot(at).ejected = true
        it.table.resort(it.slot(at))
      },
    ],
    ['FAILED endpoints', (it, at) => it.change(at, { state: 'FAILED' })],
  ])('%s count among them', (_name, lose) => {
    const it = scene(10)
    for (const at of [7, 8]) lose(it, at)
    for (const at of [0, 1]) it.score(at, 'failure', 5)
    expect([it.slot(0).outlier, it.slot(1).outlier]).toEqual(['failures-in-row', undefined])
  })

  test('where fewer than half of a model’s endpoints serve, outliers are let back until half do, and nobody else is sent away', () => {
    const it = scene(10)
    for (const at of [0, 1, 2]) it.score(at, 'failure', 5)
    for (const at of [3, 4]) it.change(at, { state: 'FAILED' as EndpointState })
    it.pass(1)
    expect(it.away().length).toBe(3)
    it.change(5, { state: 'FAILED' })
    it.pass(1)
    expect([it.away().length, it.watch.counts.panic]).toEqual([2, 1])
    it.score(6, 'failure', 50)
    expect(it.away().length).toBe(2)
    for (const at of [6, 7]) it.change(at, { state: 'FAILED' })
    it.pass(1)
    expect([it.away(), it.watch.counts.panic]).toEqual([[], 3])
    for (const at of [0, 1, 2]) expect(it.shares()[at]).toBeGreaterThan(0)
  })
})

describe('a rate of success', () => {
  const play = (it: ReturnType<typeof scene>, rates: readonly number[], attempts = 40): void => {
    // Interleaved, so that no row of failures decides.
    for (const [at, rate] of rates.entries())
      for (let i = 0; i < attempts; i++) it.score(at, Math.floor((i + 1) * rate) > Math.floor(i * rate) ? 'success' : 'failure')
  }

  test.each([
    ['one of ten that fails half', [0.5, ...new Array(9).fill(1)], ['e0']],
    ['three of ten that fail half', [...new Array(3).fill(0.5), ...new Array(7).fill(1)], ['e0', 'e1', 'e2']],
    ['the worse of two', [0.5, 1], ['e0']],
    ['nobody, where all fail half', new Array(10).fill(0.5), []],
    ['nobody, where all are alike', new Array(10).fill(0.98), []],
    ['nobody for a little more than the others', [0.75, ...new Array(3).fill(0.9)], []],
  ] as const)('sends away %s', (_name, rates, wanted) => {
    const it = scene(rates.length)
    play(it, rates)
    it.pass(10)
    expect(it.away()).toEqual(wanted.map((id) => `${id} success-rate`))
  })

  test('of too few attempts says nothing', () => {
    const it = scene(10)
    play(it, [0.5, ...new Array(9).fill(1)], limits.outlierAttemptsMin - 2)
    it.pass(10)
    expect(it.away()).toEqual([])
  })

  test('lies below the mean by 1.9 deviations, or below 0.6 of the median', () => {
    // Mean 0.96, deviation 0.08: 0.808.
    expect(successBound(Float64Array.from([0.8, 1, 1, 1, 1]))).toBeCloseTo(0.808, 3)
    expect(successBound(Float64Array.from([0.2, 0.2, 1, 1, 1]))).toBeCloseTo(0.6, 6)
    expect(successBound(Float64Array.from([0.2, 1]))).toBeCloseTo(0.6, 6)
  })
})

describe('late first bytes', () => {
  const rounds = (it: ReturnType<typeof scene>, times: readonly number[], windows: number, each: () => void = () => {}): void => {
    for (let i = 0; i < windows; i++) {
      for (const [at, ms] of times.entries()) it.began(at, ms)
      each()
      it.pass(10)
    }
  }
  const LATE = [2_000, 200, 210, 190, 220]

  test('send an endpoint away in the second window, not in the first', () => {
    const it = scene(5)
    rounds(it, LATE, 1)
    expect(it.away()).toEqual([])
    rounds(it, LATE, 1)
    expect(it.away()).toEqual(['e0 latency'])
  })

  test.each<[string, readonly number[], (at: number) => Partial<Endpoint>]>([
    ['few milliseconds are not late', [20, 2, 2, 2, 2], () => ({})],
    ['an endpoint of a tenth of the weight may take its time', LATE, (at) => ({ weight: at === 0 ? 10 : 100 })],
    ['a large endpoint that is as fast as others is not late', [200, 200, 210, 190, 220], (at) => ({ weight: at === 0 ? 800 : 100 })],
    ['of two nobody knows which is right', [2_000, 200], () => ({})],
    ['all late is nobody’s lateness', [2_000, 1_900, 2_100, 2_000], () => ({})],
    ['whoever is BUSY has a reason', LATE, (at) => ({ state: at === 0 ? 'BUSY' : 'READY' })],
  ])('%s', (_name, times, more) => {
    const it = scene(times.length, more)
    rounds(it, times, 4)
    expect(it.away()).toEqual([])
  })

  test('are forgiven whoever turns work away, or has work waiting', () => {
    const it = scene(5)
    rounds(it, LATE, 4, () => it.score(0, 'backpressure'))
    expect(it.away()).toEqual([])
    it.slot(0).report({ load: { queueDepth: 4 }, sampledAt: millis(0) })
    rounds(it, LATE, 4)
    expect(it.away()).toEqual([])
  })

  test('are not compared over models of different size', () => {
    const it = scene(6)
    for (let at = 0; at < 6; at++) it.table.upsert(endpoint(`e${at}`, { models: at < 3 ? ['m'] : ['m', 'large'] }))
    const large = it.table.candidatesFor('large') as Candidates
    for (let round = 0; round < 4; round++) {
      for (let at = 0; at < 6; at++) it.began(at, 100)
      for (let at = 3; at < 6; at++) for (let i = 0; i < 20; i++) it.watch.beganAfter(it.slot(at), large, millis(5_000))
      it.pass(10)
    }
    expect(it.away()).toEqual([])
  })

  test('that never come count when callers give up', () => {
    const it = scene(5)
    for (let round = 0; round < 2; round++) {
      for (let at = 1; at < 5; at++) it.began(at, 100)
      for (let i = 0; i < 10; i++) it.watch.silentFor(it.slot(0), it.group(), millis(3_000))
      it.pass(10)
    }
    expect(it.away()).toEqual(['e0 latency'])
  })
})

describe('coming back', () => {
  const sentAway = () => {
    const it = scene(10)
    it.score(0, 'failure', 5)
    return it
  }

  test('an endpoint waits 30 s, then gets a share that grows by successes and time', () => {
    const it = sentAway()
    it.pass(29)
    expect(it.shares()[0]).toBe(0)
    const seen: number[] = []
    it.pass(1)
    for (let step = 0; step < 4; step++) {
      seen.push(it.slot(0).ramp)
      it.pass(10)
      expect(it.slot(0).ramp, 'time alone proves nothing').toBe(seen.at(-1))
      it.score(0, 'success', 3)
      it.pass(1)
    }
    expect(seen).toEqual([0.1, 0.25, 0.5, 1])
    expect(it.news).toEqual(['e0 out failures-in-row 30s', 'e0 probation failures-in-row', 'e0 back failures-in-row'])
  })

  test('successes alone, however many, do not hurry it', () => {
    const it = sentAway()
    it.pass(30)
    it.score(0, 'success', 1_000)
    it.pass(4)
    expect(it.slot(0).ramp).toBe(0.1)
  })

  test('its share in probation is what its ramp says, also while its peers have little to do', () => {
    const it = sentAway()
    it.pass(30)
    const share = it.shares()[0] as number
    expect(share).toBeGreaterThan(0.004)
    expect(share).toBeLessThan(0.03)
  })

  test('one failure in probation sends it away for longer each time, up to 300 s', () => {
    const it = sentAway()
    const times: string[] = []
    for (let i = 0; i < 12; i++) {
      it.pass(300)
      it.score(0, 'failure')
      times.push(it.news.at(-1)?.split(' ').at(-1) ?? '')
    }
    expect(times).toEqual(['60s', '90s', '120s', '150s', '180s', '210s', '240s', '270s', '300s', '300s', '300s', '300s'])
  })

  test('a good while forgives one time after the other', () => {
    const it = sentAway()
    it.pass(30)
    it.score(0, 'failure')
    it.pass(60)
    for (let step = 0; step < 3; step++) {
      it.score(0, 'success', 3)
      it.pass(5)
    }
    expect(it.news.at(-1)).toBe('e0 back failures-in-row')
    it.pass(31)
    it.score(0, 'failure', 5)
    expect(it.news.at(-1)).toBe('e0 out failures-in-row 60s')
  })

  test('an endpoint that is no more is forgotten', () => {
    const it = sentAway()
    it.score(1, 'backpressure')
    it.table.remove('e0')
    it.table.remove('e1')
    it.pass(1)
    expect([it.watch.count('out'), it.watch.count('probation')]).toEqual([0, 0])
  })
})

describe('whoever refuses or fails at once looks idle, and', () => {
  test.each([
    ['LEAST_REQUEST', 'failure'],
    ['LEAST_REQUEST', 'backpressure'],
    ['LEAST_WAIT', 'failure'],
    ['LEAST_WAIT', 'backpressure'],
  ] as const)('by %s attracts nothing when it answers with %s', (policy, outcome) => {
    const it = scene(10, () => ({}), policy)
    const draw = seeded(11)
    const running: { slot: EndpointSlot; until: number }[] = []
    let bad = 0
    const requests = 3_000
    for (let i = 0; i < requests; i++) {
      for (const one of running.splice(
        0,
        running.findIndex(({ until }) => until > i),
      )) {
        one.slot.inFlight--
        it.score(Number(one.slot.id.slice(1)), 'success')
      }
      const slot = pick(it.group(), { now: millis(i), draw, excluded: [] }) as EndpointSlot
      if (Number(slot.id.slice(1)) < 3) {
        bad++
        it.score(Number(slot.id.slice(1)), outcome)
      } else {
        slot.inFlight++
        running.push({ slot, until: i + 50 })
      }
      if (i % 100 === 99) it.pass(1)
    }
    // A third of the requests is their share; a sinkhole would take nearly all.
    expect(bad / requests).toBeLessThan(0.06)
  })

  test('comes back into favour by successes, and by time where nothing is asked of it', () => {
    const it = scene(10)
    it.score(0, 'backpressure', 20)
    expect(it.slot(0).trust).toBe(limits.trustMin)
    it.score(0, 'success', 20)
    expect(it.slot(0).trust).toBe(1)
    it.score(1, 'backpressure', 20)
    it.pass(25)
    expect(it.slot(1).trust).toBe(1)
  })
})
