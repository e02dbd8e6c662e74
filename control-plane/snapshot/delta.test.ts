import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { Endpoint } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import { readDelta } from '../testing/read-delta.ts'
import { makeDeltas } from './delta.ts'
import { LoadBatch } from './load-batch.ts'
import { loadRow } from './load-row.ts'
import { makeResource } from './resource.ts'
import { Snapshot } from './snapshot.ts'

const ep = (id: string, fields: Partial<Endpoint> = {}): Endpoint => ({
  ...Endpoint.fromPartial({ id, node: 'n', address: '127.0.0.1:1', weight: 100, models: ['*'] }),
  ...fields,
})

test('bytes laid end to end read as the message that they stand for', () => {
  const upserts = [makeResource(ep('n/a'), {}), makeResource(ep('n/b', { weight: 2.5 }), {})]
  const loads = [
    { endpointId: 'n/a', load: { queueDepth: 3 }, ageMs: 12, ages: false },
    { endpointId: `n/${'b'.repeat(200)}`, load: { kvCacheUse: 0.5 }, ageMs: 0, ages: true },
    { endpointId: 'n/c', load: {}, ageMs: 70_000, ages: true },
    { endpointId: 'n/d', load: undefined, ageMs: 1, ages: false },
  ]
  const [delta, ...more] = makeDeltas(
    {
      upserts,
      removed: ['n/gone'],
      loads: new LoadBatch(loads.map((one) => loadRow(one.endpointId, one.load, one.ageMs, one.ages))).all(),
    },
    'v1',
    () => '7',
  )
  expect(more).toEqual([])
  expect(delta?.ids).toEqual(['n/a', 'n/b', 'n/gone'])
  const { loads: told = [], ...rest } = readDelta(delta?.bytes ?? new Uint8Array()) ?? {}
  expect(rest).toEqual({
    nonce: '7',
    upserts: upserts.map(({ version, endpoint }) => ({ version, endpoint })),
    removed: ['n/gone'],
    snapshotVersion: 'v1',
    loadsHold: false,
    loadsAnew: false,
  })
  expect(told.toSorted((a, b) => a.ageMs - b.ageMs)).toEqual(loads.toSorted((a, b) => a.ageMs - b.ageMs))
})

test('a large fleet comes in several messages, each with its nonce, and nothing is lost or doubled', () => {
  const upserts = Array.from({ length: 6_000 }, (_, at) => makeResource(ep(`n/${at}`, { models: [`${'m'.repeat(400)}${at}`] }), {}))
  let nonce = 0
  const deltas = makeDeltas({ upserts, removed: ['n/gone'], loads: [] }, 'v', () => String(++nonce))
  const messages = deltas.map(({ bytes }) => readDelta(bytes))
  expect(deltas.length).toBeGreaterThan(2)
  expect(Math.max(...deltas.map(({ bytes }) => bytes.length))).toBeLessThan(limits.deltaBytesMax + 1_000)
  expect(messages.flatMap((message) => message?.upserts.map(({ endpoint }) => endpoint?.id))).toEqual(
    upserts.map(({ endpoint }) => endpoint.id),
  )
  expect(messages.map((message) => message?.removed.length)).toEqual([...deltas.slice(1).map(() => 0), 1])
  expect(new Set(messages.map((message) => message?.nonce)).size).toBe(deltas.length)
})

test('the loads of a large fleet come behind it, so many in a message that a proxy reads one in a short turn', () => {
  const upserts = Array.from({ length: 3 }, (_, at) => makeResource(ep(`n/${at}`), {}))
  const loads = Array.from({ length: 2 * limits.loadsPerMessageMax + 1 }, (_, at) => loadRow(`n/${at}`, {}, at))
  let nonce = 0
  const deltas = makeDeltas({ upserts, removed: [], loads: new LoadBatch(loads).all() }, 'v', () => String(++nonce))
  const messages = deltas.map(({ bytes }) => readDelta(bytes))
  expect(messages.map((message) => message?.upserts.length)).toEqual([3, ...deltas.slice(1).map(() => 0)])
  expect(Math.max(...messages.map((message) => message?.loads.length ?? 0))).toBeLessThanOrEqual(limits.loadsPerMessageMax)
  expect(deltas.length).toBeLessThanOrEqual(4)
  expect(messages.flatMap((message) => message?.loads.map(({ ageMs }) => ageMs)).sort((a = 0, b = 0) => a - b)).toEqual(
    loads.map(({ ageMs }) => ageMs),
  )
  expect(new Set(deltas.map((delta) => delta.nonce)).size).toBe(deltas.length)
})

test('a version is the content: the same twice is one, any field makes another', () => {
  const versions = [ep('n/a'), ep('n/a'), ep('n/a', { weight: 101 }), ep('n/a', { models: ['*', 'x'] }), ep('n/b')].map(
    (one) => makeResource(one, {}).version,
  )
  expect(versions[0]).toBe(versions[1])
  expect(new Set(versions).size).toBe(4)
})

test('the hash of the whole depends on what it holds, not on how it came there', () => {
  const [one, other] = [new Snapshot(), new Snapshot()]
  one.put(ep('n/a'), {})
  one.put(ep('n/b'), {})
  other.put(ep('n/b', { weight: 5 }), {})
  other.put(ep('n/c'), {})
  other.put(ep('n/a'), {})
  other.put(ep('n/b'), {})
  expect(other.version).not.toBe(one.version)
  other.remove('n/c')
  expect(other.version).toBe(one.version)
  expect(other.takeChanged()).toEqual(['n/b', 'n/c', 'n/a'])
  expect(other.put(ep('n/a'), {})).toBe(false)
  expect(other.takeChanged()).toEqual([])
})
