/** A gate alone: who goes, who waits, who is refused, played against a plain model and in single scenes. */
import { describe, expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import type { Admission, Endpoint } from '../../core/mesh-snapshot.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { Candidates } from '../routing/model-groups.ts'
import { RoutingTable } from '../routing/routing-table.ts'
import { type Arrival, Gate, type Refused } from './gate.ts'
import { gateRules } from './gate-rules.ts'
import { type Pass, waits } from './pass.ts'

const endpoint = (id: string, capacity: number): Endpoint => ({
  ...{ id, node: id, zone: '', address: '127.0.0.1:1', protocol: 'KSERVE_GRPC', models: ['llm'] },
  ...{ weight: 100, state: 'READY', freshness: 'fresh', capacity },
})

type Who = string
type Ask = Partial<Pick<Arrival<Who>, 'band' | 'tenant' | 'bytes' | 'more'>> & { readonly within?: number }

/** One worker's gate, with a clock that a test moves. */
class Play {
  now = 1_000
  readonly heard: string[] = []
  readonly table: RoutingTable
  readonly gate: Gate<Who>
  readonly passes = new Map<Who, Pass<Who>>()

  constructor(row: Admission, capacities: readonly number[] = [0], workers = 1) {
    const endpoints = capacities.map((capacity, at) => endpoint(`e${at}`, capacity))
    this.table = new RoutingTable({ version: '', routes: [], models: [{ name: 'llm', policy: 'LEAST_WAIT', admission: row }], endpoints })
    this.gate = new Gate('llm', gateRules(row, workers), row, this.table.candidatesFor('llm') as Candidates)
  }

  get at(): Millis {
    return millis(this.now)
  }

  ask(holder: Who, { within, ...more }: Ask = {}): 'goes' | 'waits' | Refused {
    const deadline = within === undefined ? undefined : millis(this.now + within)
    const arrival = { holder, deadline, bytes: 0, more: false, band: undefined, tenant: '', ...more }
    const met = this.gate.arrive(arrival, this.at, (pass, why) => {
      this.heard.push(`${pass.holder} ${why.reason}`)
      this.end(pass.holder)
    })
    if ('reason' in met) return met
    this.passes.set(holder, met)
    if (waits(met)) return 'waits'
    this.gate.opened(met, this.at)
    return 'goes'
  }

  reason(holder: Who, ask: Ask = {}): string {
    const met = this.ask(holder, ask)
    return typeof met === 'string' ? met : met.reason
  }

  /** It is over, with so many messages in its answer. As long as the clock stands, requests take no time. */
  end(holder: Who, messages = 1, heldMs = 0): void {
    const pass = this.passes.get(holder)
    if (pass === undefined) throw new Error(`${holder} is not there`)
    this.passes.delete(holder)
    if (pass.charged) this.gate.closed(pass, true, millis(heldMs))
    this.gate.finish(pass, 0, messages, this.at)
  }

  /** Whoever goes now. */
  go(): Who[] {
    const gone: Who[] = []
    for (let pass = this.gate.next(this.at); pass !== undefined; pass = this.gate.next(this.at)) {
      this.gate.opened(pass, this.at)
      gone.push(pass.holder)
    }
    return gone
  }
}

describe('room', () => {
  test.each([
    ['what a row says', { concurrency: 3 }, [0], 3],
    ['the capacities of those that serve, and a little more', { headroom: 1.5 }, [2, 4], 9],
    ['the usual headroom where a row says none and nothing is known of its requests', {}, [8], 10],
  ] as const)('ends at %s', (_name, row, capacities, wanted) => {
    const play = new Play(row, capacities)
    const met = Array.from({ length: wanted + 2 }, (_, at) => play.ask(`r${at}`))
    expect(met.filter((one) => one === 'goes')).toHaveLength(wanted)
    expect(met.filter((one) => one === 'waits')).toHaveLength(2)
  })

  test('has no end where an endpoint does not say what it can take: nobody waits', () => {
    const play = new Play({}, [4, 0])
    for (let at = 0; at < 1_000; at++) expect(play.ask(`r${at}`)).toBe('goes')
  })

  test('has no end where nobody serves: who is asked then is not for a queue to say', () => {
    const play = new Play({ concurrency: 1 }, [4])
    play.table.upsert({ ...endpoint('e0', 4), state: 'FAILED' })
    expect([play.ask('a'), play.ask('b')]).toEqual(['goes', 'goes'])
  })

  test('grows with the endpoints, once somebody tells of them', () => {
    const play = new Play({ headroom: 1 }, [1])
    expect([play.ask('a'), play.ask('b'), play.ask('c')]).toEqual(['goes', 'waits', 'waits'])
    play.table.upsert(endpoint('e1', 1))
    play.gate.room.forget()
    expect(play.go()).toEqual(['b'])
  })

  test('of one worker is its part, and what others leave unused, in steps', () => {
    const play = new Play({ concurrency: 8 }, [0], 2)
    const ask = (count: number): number =>
      Array.from({ length: count }, (_, at) => play.reason(`${play.now}-${at}`)).filter((one) => one === 'goes').length
    expect(ask(20), 'its part').toBe(4)
    const reached: number[] = []
    for (let step = 0; step < 5; step++) {
      play.now += limits.roomPeriod
      play.go()
      reached.push(play.gate.open)
    }
    expect(reached).toEqual([6, 7, 7, 7, 7])
    const slot = play.table.slot('e0')
    if (slot !== undefined) slot.elsewhere = 4
    play.now += limits.roomPeriod
    play.go()
    expect(play.gate.room.limit, 'it gives back what another worker needs').toBeLessThan(7)
  })

  test('shrinks while the queues of most endpoints are long by the doing of others, and grows back; unknown queues shrink nothing', () => {
    const play = new Play({ headroom: 1.25 }, [8, 8, 8])
    const report = (...depths: readonly (number | undefined)[]): void => {
      for (const [at, queueDepth] of depths.entries())
        play.table.slot(`e${at}`)?.report({ load: queueDepth === undefined ? {} : { queueDepth }, sampledAt: play.at })
      play.now += limits.reportPeriod
      play.gate.next(play.at)
      play.gate.room.ask(play.gate.candidates, play.gate.rules, undefined, play.gate.open, play.at)
    }
    report(undefined, undefined, undefined)
    expect(play.gate.room.limit).toBe(30)
    report(9, 0, undefined)
    expect(play.gate.room.limit, 'of two that are known one has a short queue').toBe(30)
    report(9, 9, 0)
    expect(play.gate.room.limit, 'that one has a short queue proves nothing').toBe(24)
    report(9, undefined, undefined)
    expect(play.gate.room.limit, 'the only one that is known is full').toBe(19)
    for (let round = 0; round < 100; round++) report(9, 9, 9)
    expect(play.gate.room.limit, 'never nothing').toBe(1)
    for (let round = 0; round < 10; round++) report(9, 0, 0)
    expect(play.gate.room.limit, 'with care while one is still long').toBeLessThan(5)
    for (let round = 0; round < 30; round++) report(0, 0, 0)
    expect(play.gate.room.limit).toBe(30)
  })

  test('shrinks no faster than places come free, so that some are filled again meanwhile', () => {
    const play = new Play({ headroom: 1 }, [100])
    play.ask('first')
    play.end('first', 1, 10 * limits.reportPeriod)
    play.table.slot('e0')?.report({ load: { queueDepth: 9 }, sampledAt: play.at })
    play.now += limits.reportPeriod
    play.ask('next')
    expect(play.gate.room.limit, 'ten of a hundred end in a step').toBeGreaterThan(90)
    expect(play.gate.room.limit).toBeLessThan(100)
  })

  test.each([
    ['a quarter more', 20, 80],
    ['a few more, of requests that take long: who waits at an endpoint waits for about a tenth of a second', 5_000, 65],
  ])('where a row says no headroom is %s', (_name, heldMs, wanted) => {
    const play = new Play({}, [64])
    play.ask('first')
    play.end('first', 1, heldMs)
    play.gate.room.forget()
    expect(Array.from({ length: 100 }, (_, at) => play.ask(`r${at}`)).filter((one) => one === 'goes')).toHaveLength(wanted)
  })
})

describe('a full queue', () => {
  const ROW: Admission = { concurrency: 1, queueMax: 4, priorityKey: 'p', bands: ['high', 'low'], tenantKey: 't' }

  test('lets the higher band in: the lowest gives way, its newest first', () => {
    const play = new Play(ROW)
    for (const who of ['x', 'l1', 'l2', 'l3', 'l4']) play.ask(who, { band: 'low' })
    expect([play.ask('h1', { band: 'high' }), play.ask('h2', { band: '0' })]).toEqual(['waits', 'waits'])
    expect(play.heard).toEqual(['l4 shed', 'l3 shed'])
    expect(play.reason('l5', { band: 'low' })).toBe('queue-full')
    play.end('x')
    expect(play.go()).toEqual(['h1'])
  })

  test('lets no tenant keep the others out: who has the most waiting gives way', () => {
    const play = new Play(ROW)
    for (const who of ['x', 'g1', 'g2', 'g3', 'g4']) play.ask(who, { tenant: 'greedy' })
    expect(play.ask('p1', { tenant: 'polite' })).toBe('waits')
    expect(play.heard).toEqual(['g4 over-share'])
    expect(play.reason('g5', { tenant: 'greedy' }), 'it has more waiting than others').toBe('over-share')
    expect(play.reason('g6', { tenant: 'greedy' })).toBe('over-share')
    expect(play.gate.line.count).toBe(4)
  })

  test('is full by bytes too, and what is still to come counts', () => {
    const play = new Play({ concurrency: 1, queueBytesMax: 200_000 })
    play.ask('x')
    expect(play.reason('a', { bytes: 120_000 })).toBe('waits')
    expect(play.reason('b', { bytes: 10, more: true }), 'it may come to hold its window').toBe('queue-full')
    expect(play.reason('c', { bytes: 80_000 })).toBe('waits')
    play.end('a')
    expect(play.gate.line.bytes).toBe(80_000)
  })

  test('of no places refuses at once', () => {
    const play = new Play({ concurrency: 1, queueMax: 0 })
    expect([play.reason('a'), play.reason('b')]).toEqual(['goes', 'queue-full'])
  })

  test('says when to come back by how fast it drains, and does not guess where nobody knows', () => {
    const play = new Play({ concurrency: 2, queueMax: 10 })
    for (let at = 0; at < 12; at++) play.ask(`r${at}`)
    const refused = play.ask('late')
    expect(refused).toMatchObject({ reason: 'queue-full', again: limits.retryHintUsual, detail: 'model "llm": 10 requests wait already' })
    play.end('r0', 1, 1_000)
    play.end('r1', 1, 1_000)
    play.go()
    for (let at = 0; at < 2; at++) play.ask(`s${at}`)
    const again = (play.ask('later') as Refused).again
    expect(again).toBeGreaterThan(4_000)
    expect(again).toBeLessThan(7_000)
  })
})

describe('a deadline', () => {
  test('that cannot be met is refused at once, and one that can waits', () => {
    const play = new Play({ concurrency: 1 })
    play.ask('a')
    play.end('a', 1, 200)
    play.gate.estimates.firstByte.add(150)
    for (const who of ['b', 'c', 'd']) play.ask(who)
    expect(play.reason('hasty', { within: 300 }), 'first in line, and still 200 ms to wait and 150 to the first byte').toBe(
      'deadline-unmeetable',
    )
    expect(play.reason('in time', { within: 400 })).toBe('waits')
    expect(play.reason('behind it', { within: 500 })).toBe('deadline-unmeetable')
  })

  test('that is nearer than the quickest answer of late is refused also when there is room, until that is long ago', () => {
    const play = new Play({ concurrency: 4 })
    play.gate.estimates.quickest.add(millis(50), play.at)
    expect([play.reason('a', { within: 40 }), play.reason('b', { within: 60 })]).toEqual(['deadline-unmeetable', 'goes'])
    play.now += 30_000
    expect(play.reason('c', { within: 40 })).toBe('goes')
  })

  test('orders the requests of one tenant; without deadlines they go as they came', () => {
    const play = new Play({ concurrency: 1, maxWaitMs: 1_000 })
    play.ask('x')
    for (const [who, within] of [
      ['late', 900],
      ['none', undefined],
      ['soon', 300],
      ['none too', undefined],
    ] as const)
      play.ask(who, within === undefined ? {} : { within })
    const order: Who[] = []
    for (let last = 'x'; play.gate.line.count > 0; last = order.at(-1) as string) {
      play.end(last, 1, 1)
      order.push(...play.go())
    }
    expect(order).toEqual(['soon', 'late', 'none', 'none too'])
  })
})

test('whoever leaves the queue by itself is not charged for, and a request that was charged too much is given back the rest', () => {
  const play = new Play({ concurrency: 1, tenantKey: 't' })
  play.ask('x', { tenant: 'z' })
  for (let at = 0; at < 20; at++) play.ask(`gone${at}`, { tenant: 'a', bytes: 16_000 })
  for (let at = 0; at < 20; at++) play.end(`gone${at}`)
  play.ask('a', { tenant: 'a' })
  play.ask('b', { tenant: 'b' })
  play.end('x')
  expect(play.go(), 'the cancelled work of its tenant does not count against it').toEqual(['a'])
})

describe('a tenant above its share', () => {
  const PLACES = 16
  const ROW: Admission = { concurrency: PLACES, queueMax: 100, tenantKey: 't' }
  const HOLD_MS = 800
  const ALL = ['greedy', 'a', 'b', 'c']

  /** Each tenant was there, and its requests took as long as said; then the greedy one sends thirty. */
  function crowded(tenants: readonly string[], ...tookMs: readonly number[]): Play {
    const play = new Play(ROW)
    for (let round = 0; round < 40; round++)
      for (const tenant of tenants) {
        play.ask('before', { tenant })
        play.end('before', 1, tookMs[round % tookMs.length])
        play.now += HOLD_MS / 4
      }
    for (let at = 0; at < 30; at++) play.ask(`g${at}`, { tenant: 'greedy' })
    play.go()
    return play
  }

  test('begins one request after the other, so that they do not all end at once; places are left for the others until then', () => {
    const play = crowded(ALL, HOLD_MS)
    const atOnce = play.gate.open
    expect(atOnce, 'until it asks for twice its share nobody knows it for greedy').toBeLessThanOrEqual(8)
    expect(play.ask('p', { tenant: 'a' })).toBe('waits')
    expect(play.go(), 'who is below its share goes at once, past all of them').toEqual(['p'])
    const began: number[] = []
    for (const since = play.now; play.gate.open < PLACES; ) {
      play.now = play.gate.looksAgainAt(play.at) + 1
      for (const _ of play.go()) began.push(play.now - since)
    }
    expect(began).toHaveLength(PLACES - atOnce - 1)
    expect(Math.max(...began), 'all places are taken by when the first of them is free again').toBeLessThan(HOLD_MS)
    expect(Math.max(...began), 'and not long before').toBeGreaterThan(HOLD_MS / 2)
    expect(new Set(began).size, 'no two at once').toBe(began.length)
  })

  test.each([
    ['it is alone', ['greedy'], [HOLD_MS]],
    ['nobody knows how long requests take', ALL, [0]],
    ['they take so unlike times that their ends scatter by themselves', ALL, [50, 100, 200, 3_000]],
  ])('takes all places at once where %s', (_name, tenants, tookMs) => {
    expect(crowded(tenants, ...tookMs).gate.open).toBe(PLACES)
  })
})

const AT_ONCE = 4

/** Two tenants that always have something waiting; each request of theirs costs as said. Answers the messages that each was served. */
function contest(row: Admission, costs: Readonly<Record<string, number>>, rounds: number): Record<string, number> {
  const play = new Play({ concurrency: AT_ONCE, queueMax: 1_000, tenantKey: 't', ...row })
  const served: Record<string, number> = {}
  const running: Who[] = []
  const most = 2 * AT_ONCE * Math.max(...Object.values(costs))
  let count = 0
  const ask = (tenant: string): void => {
    const who = `${tenant}-${count++}`
    if (play.ask(who, { tenant }) === 'goes') running.push(who)
  }
  for (const tenant of Object.keys(costs)) for (let at = 0; at < 20; at++) ask(tenant)
  for (let round = 0; round < rounds; round++) {
    const who = running.shift() as Who
    const tenant = who.split('-')[0] as string
    play.end(who, costs[tenant])
    if (round > rounds / 10) {
      served[tenant] = (served[tenant] ?? 0) + (costs[tenant] ?? 0)
      const [a = 0, b = 0] = Object.keys(costs).map((name) => (served[name] ?? 0) / (row.weights?.[name] ?? 1))
      expect(Math.abs(a - b), 'never further apart than what runs at once').toBeLessThanOrEqual(most)
    }
    running.push(...play.go())
    ask(tenant)
  }
  return served
}

describe('tenants that all have something waiting', () => {
  test('get equal work, however much each of their requests costs', () => {
    const { small = 0, large = 0 } = contest({}, { small: 5, large: 50 }, 5_000)
    expect(small / large).toBeGreaterThan(0.9)
    expect(small / large).toBeLessThan(1.1)
  })

  test('get work by their weights', () => {
    const { gold = 0, plain = 0 } = contest({ weights: { gold: 3 } }, { gold: 10, plain: 10 }, 5_000)
    expect(gold / plain).toBeGreaterThan(2.8)
    expect(gold / plain).toBeLessThan(3.2)
  })
})

const seeded = (seed: number) => () => {
  seed = (seed * 48_271) % 2_147_483_647
  return seed / 2_147_483_647
}

type Waiting = { readonly band: number; readonly tenant: string; readonly order: number }

describe.each([1, 2, 3, 4, 5, 6])('any play, seed %i', (seed) => {
  test('keeps bounds, lets no place stand idle, serves bands in order, starves nobody within one, and ends with nothing', () => {
    const draw = seeded(seed * 104_729)
    const row: Admission = { concurrency: 5, queueMax: 30, priorityKey: 'p', bands: ['a', 'b', 'c'], tenantKey: 't', weights: { t1: 4 } }
    const play = new Play(row)
    const waiting = new Map<Who, Waiting>()
    const running = new Set<Who>()
    const passed = new Map<Who, number>()
    for (let step = 0; step < 4_000; step++) {
      const move = draw()
      if (move < 0.55) {
        const band = Math.floor(draw() * 3)
        const tenant = `t${Math.floor(draw() * draw() * 4)}`
        const who = `r${step}`
        const before = waiting.size
        const lower = [...waiting.values()].some((one) => one.band > band)
        const met = play.reason(who, { band: String(band), tenant, bytes: Math.floor(draw() * 400) })
        for (const line of play.heard.splice(0)) waiting.delete(line.split(' ')[0] as string)
        if (met === 'goes') running.add(who)
        if (met === 'waits') waiting.set(who, { band, tenant, order: step })
        if (met === 'goes') expect(before, 'nobody is overtaken by a newcomer').toBe(0)
        if (before === 30 && lower) expect(met, 'a higher band always gets in').toBe('waits')
        if (before < 30) expect(['goes', 'waits']).toContain(met)
      } else {
        const all = move < 0.9 ? [...running] : [...waiting.keys()]
        const who = all[Math.floor(draw() * all.length)]
        if (who === undefined) continue
        running.delete(who)
        waiting.delete(who)
        play.end(who, Math.floor(draw() * 30))
        for (const next of play.go()) {
          const one = waiting.get(next)
          if (one === undefined) throw new Error(`${next} did not wait`)
          waiting.delete(next)
          running.add(next)
          for (const [other, { band, tenant, order }] of waiting) {
            expect(band, 'nobody of a higher band is left behind').toBeGreaterThanOrEqual(one.band)
            if (band !== one.band) continue
            if (tenant === one.tenant) expect(order, 'of one tenant the first goes first').toBeGreaterThan(one.order)
            else passed.set(other, (passed.get(other) ?? 0) + 1)
          }
        }
      }
      expect(play.gate.line.count).toBe(waiting.size)
      expect(play.gate.open).toBe(running.size)
      expect(running.size).toBeLessThanOrEqual(5)
      if (running.size < 5) expect(waiting.size, 'no place stands idle while somebody waits').toBe(0)
    }
    // A tenant of weight 1 beside one of 4, two of 1, and requests of very different work: nobody is passed by more often than the others' share allows.
    expect(Math.max(0, ...passed.values())).toBeLessThan(400)
    for (const who of [...running, ...waiting.keys()]) play.end(who)
    expect([play.gate.open, play.gate.line.count, play.gate.line.bytes]).toEqual([0, 0, 0])
    for (const band of play.gate.line.bands) expect([band.count, band.queuedWork, band.active.length]).toEqual([0, 0, 0])
  })
})
