import { describe, expect, test } from 'vitest'
import { EMPTY_SNAPSHOT, type Endpoint, type PolicyName, type ZoneOrder } from '../../core/mesh-snapshot.ts'
import { millis } from '../../core/units.ts'
import { endpoint, seeded, shares } from '../testing/slots.ts'
import type { EndpointSlot } from './endpoint-slot.ts'
import { pick } from './pick.ts'
import { RoutingTable } from './routing-table.ts'
import { shareLevels, ZoneLevels } from './zones.ts'

test.each<readonly [string, string, ZoneOrder | undefined, readonly number[]]>([
  ['a proxy without a zone has everything near', '', { z1: [['z2']] }, [0, 0, 0, 0, 0]],
  ['without an order: the own zone, then all others', 'z1', undefined, [0, 0, 1, 1, 1]],
  ['with one: as it says, then all others', 'z1', { z1: [['z3'], ['z2']] }, [0, 0, 2, 1, 3]],
  ['several zones may share a level', 'z1', { z1: [['z2', 'z3']] }, [0, 0, 1, 1, 2]],
  ['the order of another zone is nothing to it', 'z1', { z2: [['z3']] }, [0, 0, 1, 1, 1]],
  ['nor is one that every object has', 'constructor', {}, [0, 1, 1, 1, 1]],
])('%s', (_what, own, order, levels) => {
  const zones = new ZoneLevels(own, order)
  expect(['', 'z1', 'z2', 'z3', 'z4'].map((zone) => zones.levelOf(zone))).toEqual(levels)
})

/** Shares in percent, of levels of which so many percent are usable. */
function sharesOf(...healthy: readonly number[]): readonly number[] {
  const given = new Float64Array(healthy.length)
  const whole = Float64Array.from(healthy, () => 100)
  const sum = shareLevels(Float64Array.from(healthy), whole, healthy.length, given)
  return [...given].map((share) => (sum === 0 ? 0 : Math.round((100 * share) / sum)))
}

test.each([
  [
    [100, 100],
    [100, 0],
  ],
  [
    [72, 100],
    [100, 0],
  ],
  [
    [71, 100],
    [99, 1],
  ],
  [
    [50, 100],
    [70, 30],
  ],
  [
    [25, 100],
    [35, 65],
  ],
  [
    [25, 25],
    [50, 50],
  ],
  [
    [25, 20],
    [56, 44],
  ],
  [
    [0, 100],
    [0, 100],
  ],
  [
    [0, 0],
    [0, 0],
  ],
  [
    [50, 10, 100],
    [70, 14, 16],
  ],
])('levels that are usable to %j percent get %j percent of requests', (healthy, given) => {
  expect(sharesOf(...healthy)).toEqual(given)
})

describe('a proxy in z1', () => {
  const table = (endpoints: readonly Endpoint[], policy: PolicyName = 'WEIGHTED'): RoutingTable =>
    new RoutingTable({ ...EMPTY_SNAPSHOT, models: [{ name: 'm', policy }], zones: { z1: [['z2']] }, endpoints }, undefined, 'z1')
  const zone = (name: string, count: number, more: Partial<Endpoint> = {}): readonly Endpoint[] =>
    Array.from({ length: count }, (_, at) => endpoint(`${name}-${more.state ?? 'READY'}-${at}`, { zone: name, ...more }))
  const ask = (draw: () => number, excluded: readonly EndpointSlot[] = []) => ({ now: millis(1), draw, excluded })

  /** Percent of requests, by zone. */
  function spread(from: RoutingTable): Readonly<Record<string, number>> {
    const candidates = from.candidatesFor('m')
    if (candidates === undefined) throw new Error('somebody serves it')
    const draw = seeded(7)
    const counts: Record<string, number> = {}
    for (const [id, count] of Object.entries(shares(20_000, () => pick(candidates, ask(draw)) as EndpointSlot))) {
      const name = id.split('-')[0] as string
      counts[name] = (counts[name] ?? 0) + count / 200
    }
    return counts
  }

  test.each<readonly [string, readonly Endpoint[], Readonly<Record<string, number>>]>([
    ['asks nobody else while its zone serves', [...zone('z1', 3), ...zone('z2', 30), ...zone('z3', 30)], { z1: 100 }],
    [
      'does not spill for a small loss',
      [...zone('z1', 3), ...zone('z1', 1, { state: 'FAILED', weight: 0 }), ...zone('z2', 4)],
      { z1: 100 },
    ],
    [
      'spills in proportion to a large one',
      [...zone('z1', 2), ...zone('z1', 2, { state: 'FAILED', weight: 0 }), ...zone('z2', 4)],
      { z1: 70, z2: 30 },
    ],
    [
      'counts what drains as lost, and what starts as not there yet',
      [
        ...zone('z1', 2),
        ...zone('z1', 2, { state: 'DRAINING', weight: 0 }),
        ...zone('z1', 9, { state: 'STARTING', weight: 0 }),
        ...zone('z2', 4),
      ],
      { z1: 70, z2: 30 },
    ],
    [
      'goes by weights, not by heads',
      [...zone('z1', 1, { weight: 50 }), ...zone('z1', 1, { state: 'BUSY', weight: 350 }), ...zone('z2', 1)],
      { z1: 17.5, z2: 82.5 },
    ],
    ['asks a ready one further away before a busy one near by', [...zone('z1', 4, { state: 'BUSY' }), ...zone('z3', 1)], { z3: 100 }],
    ['asks the zones in its order', [...zone('z3', 4), ...zone('z2', 1)], { z2: 100 }],
    [
      'spreads over all when all together fall short',
      [...zone('z1', 1), ...zone('z1', 3, { state: 'FAILED' }), ...zone('z2', 1), ...zone('z2', 3, { state: 'FAILED' })],
      { z1: 50, z2: 50 },
    ],
    ['takes what has no zone as near', [...zone('', 2), ...zone('z2', 4)], { '': 100 }],
  ])('%s', (_what, endpoints, expected) => {
    const found = spread(table(endpoints))
    expect(Object.keys(found).sort()).toEqual(Object.keys(expected).sort())
    for (const [name, share] of Object.entries(expected)) expect(found[name], name).toBeCloseTo(share, -0.5)
  })

  test('tries other zones when all of the near one were tried', () => {
    const candidates = table([...zone('z1', 2), ...zone('z2', 2), ...zone('z3', 1)], 'LEAST_WAIT').candidatesFor('m')
    const excluded: EndpointSlot[] = []
    for (
      let slot = candidates && pick(candidates, ask(seeded(2), excluded));
      candidates && slot;
      slot = pick(candidates, ask(seeded(2), excluded))
    )
      excluded.push(slot)
    expect(excluded.map((slot) => slot.endpoint.zone)).toEqual(['z1', 'z1', 'z2', 'z2', 'z3'])
  })

  test('finds the owner of a key in whatever zone it is', () => {
    const endpoints = [...zone('z1', 3), ...zone('z2', 3), ...zone('z3', 3)]
    const ownerSeenFrom = (own: string, key: number): string | undefined => {
      const models = [{ name: 'm', policy: 'RING_HASH' as const }]
      const candidates = new RoutingTable({ ...EMPTY_SNAPSHOT, models, endpoints }, undefined, own).candidatesFor('m')
      return candidates && pick(candidates, { ...ask(seeded(3)), key })?.id
    }
    for (let key = 1; key < 2 ** 32; key += 2 ** 28 + 12_345) expect(ownerSeenFrom('z1', key)).toBe(ownerSeenFrom('z3', key))
  })

  test('a new order is taken in piece by piece, and at no time is anybody lost', () => {
    const changing = table([...zone('z1', 1, { state: 'FAILED' }), ...zone('z2', 40), ...zone('z3', 40)])
    const candidates = changing.candidatesFor('m')
    const reachable = (): number => candidates?.tiers[0]?.size ?? 0
    changing.setHead({ version: '2', models: [{ name: 'm', policy: 'WEIGHTED' }], routes: [], zones: { z1: [['z3'], ['z2']] } })
    let steps = 0
    for (; changing.settleZones(10); steps++) {
      expect(reachable()).toBe(80)
      expect(candidates && pick(candidates, ask(seeded(steps + 1)))).toBeDefined()
    }
    expect(steps).toBe(8)
    expect(Object.keys(spread(changing))).toEqual(['z3'])
  })
})
