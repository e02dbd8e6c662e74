/** Endpoints, slots and dice for tests of routing. */
import type { LoadVector } from '../../core/load-vector.ts'
import type { Endpoint } from '../../core/mesh-snapshot.ts'
import { millis } from '../../core/units.ts'
import type { Ask } from '../routing/ask.ts'
import { EndpointSlot } from '../routing/endpoint-slot.ts'

export const endpoint = (id: string, more: Partial<Endpoint> = {}): Endpoint => ({
  ...{ id, node: id, zone: '', address: '127.0.0.1:1', protocol: 'KSERVE_GRPC', models: ['*'] },
  ...{ weight: 100, state: 'READY', freshness: 'fresh', capacity: 0 },
  ...more,
})

export const slot = (id: string, more: Partial<Endpoint> = {}): EndpointSlot => new EndpointSlot(endpoint(id, more))

export const seeded = (seed: number) => (): number => {
  seed = (seed * 48_271) % 2_147_483_647
  return seed / 2_147_483_647
}

export const ask = (at: number, draw: () => number = seeded(1)): Ask => ({ now: millis(at), draw, excluded: [] })

/** A report that arrives as it is taken. */
export const tell = (one: EndpointSlot, load: LoadVector, at: number): void => one.report({ load, sampledAt: millis(at) })

/** How often each of so many draws chose which; nobody is charged in between. */
export function shares(times: number, choose: () => EndpointSlot): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (let i = 0; i < times; i++) {
    const { id } = choose()
    counts[id] = (counts[id] ?? 0) + 1
  }
  return counts
}
