import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import { Replicas, type SharedNews } from './replicas.ts'

const began = (proxyId: string, stream: number): SharedNews => ({ kind: 'began', proxyId, stream })
const ended = (proxyId: string, stream: number): SharedNews => ({ kind: 'ended', proxyId, stream })
const report = (proxyId: string, stream: number): SharedNews => ({ kind: 'report', proxyId, stream, report: { endpoints: [] } })
const ALIVE: SharedNews = { kind: 'alive' }

/** Others that number what they say, each from wherever it stands. */
class Bus {
  readonly replicas = new Replicas()
  readonly #sequences = new Map<string, bigint>()
  now: Millis = millis(0)

  says(replicaId: string, news: SharedNews, skip = 0n) {
    const sequence = (this.#sequences.get(replicaId) ?? 40n) + 1n + skip
    this.#sequences.set(replicaId, sequence)
    return this.replicas.hear({ replicaId, sequence, news }, this.now)
  }
}

test('streams of others have keys of their own, none of ours, and a report without a beginning has one too', () => {
  const bus = new Bus()
  const keys = [bus.says('a', began('p', 1)).key, bus.says('a', report('p', 1)).key, bus.says('b', report('q', 1)).key]
  expect(keys[0]).toBe(keys[1])
  expect(new Set(keys).size).toBe(2)
  for (const key of keys) expect(key).toBeLessThan(0)
})

test('nobody is told while nobody was heard', () => {
  const bus = new Bus()
  expect(bus.replicas.alone).toBe(true)
  bus.says('a', ALIVE)
  expect(bus.replicas.alone).toBe(false)
})

test('a message that comes twice counts once', () => {
  const { replicas } = new Bus()
  const shared = { replicaId: 'a', sequence: 7n, news: report('p', 1) }
  expect(replicas.hear(shared, millis(0)).key).toBeDefined()
  expect(replicas.hear(shared, millis(0)).key).toBeUndefined()
  expect(replicas.hear({ ...shared, sequence: 6n }, millis(0)).key).toBeUndefined()
  expect(replicas.counts).toMatchObject({ heard: 1, repeated: 2 })
})

test('a proxy that moves takes its words along: to another, to us, or away', () => {
  const bus = new Bus()
  const first = bus.says('a', began('p', 1)).key
  const second = bus.says('b', began('p', 9))
  expect(second.over).toEqual([first])
  expect(bus.replicas.movedHere('p')).toEqual([second.key])
  expect(bus.replicas.movedHere('p')).toEqual([])
  const third = bus.says('b', began('p', 10)).key
  expect(bus.says('b', ended('p', 10))).toEqual({ key: undefined, over: [third] })
})

test('two streams of one replica are two, whatever they call themselves', () => {
  const bus = new Bus()
  bus.says('a', began('p', 1))
  expect(bus.says('a', began('p', 2)).over).toEqual([])
})

test('when messages were lost, what their sender told before counts no more', () => {
  const bus = new Bus()
  const key = bus.says('a', began('p', 1)).key
  const other = bus.says('b', began('q', 1)).key
  expect(bus.says('a', ALIVE, 3n).over).toEqual([key])
  expect(bus.replicas.counts.lost).toBe(3)
  expect(bus.says('b', report('q', 1)).key).toBe(other)
})

test('one that fell silent is forgotten with all that it told', () => {
  const bus = new Bus()
  const key = bus.says('a', began('p', 1)).key
  bus.now = millis(1_000)
  bus.says('b', ALIVE)
  expect(bus.replicas.expire(millis(limits.replicaSilenceMax - 1))).toEqual([])
  expect(bus.replicas.expire(millis(limits.replicaSilenceMax))).toEqual([key])
  expect([bus.replicas.size, bus.replicas.alone]).toEqual([1, false])
})

test('there are so many replicas and streams at most', () => {
  const bus = new Bus()
  for (let at = 0; at <= limits.replicasMax; at++) bus.says(`replica-${at}`, ALIVE)
  expect([bus.replicas.size, bus.replicas.counts.too_many]).toEqual([limits.replicasMax, 1])
  for (let at = 1; at <= limits.proxiesMax + 5; at++) bus.says('replica-0', began(`p${at}`, at))
  expect(bus.replicas.counts.too_many).toBe(6)
  bus.says('replica-0', ended('p1', 1))
  expect(bus.says('replica-0', began('p', 99_999)).key).toBeDefined()
})
