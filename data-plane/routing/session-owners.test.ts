import { expect, test } from 'vitest'
import { mix } from '../../core/key-hash.ts'
import { limits } from '../../core/limits.ts'
import { EMPTY_SNAPSHOT, type Endpoint, type EndpointState } from '../../core/mesh-snapshot.ts'
import type { EndpointSlot } from './endpoint-slot.ts'
import { RoutingTable } from './routing-table.ts'
import { SessionOwners } from './session-owners.ts'

const endpoint = (id: string, state: EndpointState = 'READY', models: readonly string[] = ['m']): Endpoint => ({
  ...{ id, node: id, zone: '', address: '127.0.0.1:1', protocol: 'KSERVE_GRPC', models },
  ...{ weight: 100, state, freshness: 'fresh', capacity: 0 },
})
const table = (...endpoints: Endpoint[]): RoutingTable => new RoutingTable({ ...EMPTY_SNAPSHOT, endpoints })
const SESSIONS = 200
const ownerOf = (from: SessionOwners, routing: RoutingTable, key: number, excluded: readonly EndpointSlot[] = [], lost = false) =>
  from.ownerOf('m', mix(key), routing.candidatesFor('m')?.tiers ?? [], excluded, lost)
const owners = (from: SessionOwners, routing: RoutingTable): (string | undefined)[] =>
  Array.from({ length: SESSIONS }, (_, key) => ownerOf(from, routing, key)?.id)

test('proxies agree on the owner of a session, whatever they know of its load, also between endpoints of one model and of all', () => {
  const here = table(endpoint('a'), endpoint('b', 'BUSY'), endpoint('c', 'READY', ['*']))
  const there = table(endpoint('c', 'BUSY', ['*']), endpoint('b'), endpoint('a', 'PROBATION'))
  for (const slot of here.slots) slot.inFlight = slot.id === 'a' ? 500 : 0
  const found = owners(new SessionOwners(), here)
  expect(owners(new SessionOwners(), there)).toEqual(found)
  expect(new Set(found)).toEqual(new Set(['a', 'b', 'c']))
})

test.each<[string, (routing: RoutingTable) => void]>([
  ['FAILED', (routing) => routing.upsert(endpoint('a', 'FAILED'))],
  ['gone', (routing) => routing.remove('a')],
  [
    'out of reach',
    (routing) => {
      const slot = routing.slot('a') as EndpointSlot
      slot.ejected = true
      routing.resort(slot)
    },
  ],
])('the sessions of an endpoint that is %s move, the others stay, and none returns where it was served in between', (_, lose) => {
  const routing = table(endpoint('a'), endpoint('b'), endpoint('c'))
  const sessions = new SessionOwners()
  const before = owners(sessions, routing)
  lose(routing)
  const after = owners(sessions, routing)
  for (const [key, was] of before.entries()) if (was !== 'a') expect(after[key]).toBe(was)
  expect(after).not.toContain('a')
  const slot = routing.upsert(endpoint('a'))
  slot.ejected = false
  routing.resort(slot)
  expect(owners(sessions, routing)).toEqual(after)
  // Who saw nothing of it finds them where they were at first.
  expect(owners(new SessionOwners(), routing)).toEqual(before)
})

test('a session stays where it is while endpoints join and its owner drains; a new one does not begin there', () => {
  const routing = table(endpoint('a'), endpoint('b'))
  const sessions = new SessionOwners()
  const before = owners(sessions, routing)
  for (const id of ['c', 'd', 'e']) routing.upsert(endpoint(id))
  routing.upsert({ ...endpoint('a', 'DRAINING'), panic: 'may' })
  expect(owners(sessions, routing)).toEqual(before)
  expect(owners(new SessionOwners(), routing)).not.toContain('a')
})

test('an owner that was tried in vain is not replaced while it lives', () => {
  const routing = table(endpoint('a'), endpoint('b'))
  const sessions = new SessionOwners()
  const owner = ownerOf(sessions, routing, 1) as EndpointSlot
  expect(ownerOf(sessions, routing, 1, [owner])).toBeUndefined()
  expect(ownerOf(sessions, routing, 1)).toBe(owner)
})

test('an owner whose connection was lost under the request is replaced before anybody has concluded from it', () => {
  const routing = table(endpoint('a'), endpoint('b'))
  const sessions = new SessionOwners()
  const owner = ownerOf(sessions, routing, 1) as EndpointSlot
  const next = ownerOf(sessions, routing, 1, [owner], true) as EndpointSlot
  expect(next.id).not.toBe(owner.id)
  expect(ownerOf(sessions, routing, 1)).toBe(next)
})

test('when all look broken each is asked once, and owns nothing by it', () => {
  const routing = table(endpoint('a', 'FAILED'), endpoint('b', 'FAILED'))
  const sessions = new SessionOwners()
  const first = ownerOf(sessions, routing, 1) as EndpointSlot
  const second = ownerOf(sessions, routing, 1, [first]) as EndpointSlot
  expect(new Set([first.id, second.id])).toEqual(new Set(['a', 'b']))
  expect(ownerOf(sessions, routing, 1, [first, second])).toBeUndefined()
  expect(sessions.size).toBe(0)
})

test('what is remembered is bounded', () => {
  const routing = table(endpoint('a'), endpoint('b'))
  const sessions = new SessionOwners()
  for (let key = 0; key < limits.sessionsKnownMax + 50; key++) ownerOf(sessions, routing, key)
  expect(sessions.size).toBe(limits.sessionsKnownMax)
})
