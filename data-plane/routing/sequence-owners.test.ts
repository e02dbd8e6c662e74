import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import type { Endpoint } from '../../core/mesh-snapshot.ts'
import { EndpointSlot } from './endpoint-slot.ts'
import { SequenceOwners } from './sequence-owners.ts'

const slot = (id: string): EndpointSlot =>
  new EndpointSlot({
    ...{ id, node: id, zone: '', address: '127.0.0.1:1', protocol: 'KSERVE_GRPC', models: ['*'] },
    ...{ weight: 100, state: 'READY', freshness: 'fresh', capacity: 0 },
  })
const slots = (...ids: readonly string[]): EndpointSlot[] => ids.map(slot)
const become = (one: EndpointSlot | undefined, state: Endpoint['state']): void => {
  if (one !== undefined) one.endpoint = { ...one.endpoint, state }
}
const FIRST = { starts: true, ends: false }
const NEXT = { starts: false, ends: false }
const names = Array.from({ length: 300 }, (_, index) => `sequence-${index}`)
const owners = (from: SequenceOwners, members: readonly EndpointSlot[], how = NEXT): (string | undefined)[] =>
  names.map((id) => from.ownerOf('m', { id, ...how }, { slots: members }, [])?.id)

test('proxies that know nothing of each other agree, in whatever order endpoints came to them', () => {
  const [here, there] = [owners(new SequenceOwners(), slots('a', 'b', 'c', 'd')), owners(new SequenceOwners(), slots('d', 'b', 'a', 'c'))]
  expect(here).toEqual(there)
  for (const id of ['a', 'b', 'c', 'd']) expect(here.filter((one) => one === id).length).toBeGreaterThan(40)
})

test('when an endpoint fails only its own sequences move, also when it comes back they stay where they are', () => {
  const sequences = new SequenceOwners()
  const members = slots('a', 'b', 'c')
  const before = owners(sequences, members, FIRST)
  become(members[0], 'FAILED')
  const after = owners(sequences, members)
  for (const [at, owner] of before.entries()) if (owner !== 'a') expect(after[at]).toBe(owner)
  expect(after).not.toContain('a')
  become(members[0], 'READY')
  expect(owners(sequences, members)).toEqual(after)
})

test('a sequence stays where it began when endpoints join, and while its owner drains; a new one does not begin there', () => {
  const sequences = new SequenceOwners()
  const members = slots('a', 'b')
  const before = owners(sequences, members, FIRST)
  members.push(...slots('c', 'd', 'e'))
  become(members[0], 'DRAINING')
  expect(owners(sequences, members)).toEqual(before)
  expect(owners(new SequenceOwners(), members, FIRST)).not.toContain('a')
})

test('the start of a sequence may be tried elsewhere, what continues one may not', () => {
  const sequences = new SequenceOwners()
  const members = slots('a', 'b')
  const first = sequences.ownerOf('m', { id: 's', ...FIRST }, { slots: members }, []) as EndpointSlot
  expect(sequences.ownerOf('m', { id: 's', ...NEXT }, { slots: members }, [first])).toBeUndefined()
  const other = sequences.ownerOf('m', { id: 's', ...FIRST }, { slots: members }, [first]) as EndpointSlot
  expect(other).not.toBe(first)
  expect(sequences.ownerOf('m', { id: 's', ...NEXT }, { slots: members }, [])).toBe(other)
})

test('what is remembered is bounded, and a sequence that ended is forgotten', () => {
  const sequences = new SequenceOwners()
  const members = slots('a', 'b')
  for (let id = 0; id < limits.sequencesKnownMax + 50; id++) sequences.ownerOf('m', { id: String(id), ...FIRST }, { slots: members }, [])
  expect(sequences.size).toBe(limits.sequencesKnownMax)
  sequences.ownerOf('m', { id: String(limits.sequencesKnownMax), starts: false, ends: true }, { slots: members }, [])
  expect(sequences.size).toBe(limits.sequencesKnownMax - 1)
})
