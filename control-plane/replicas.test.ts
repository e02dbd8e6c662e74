/** Two control planes that hear the same agents, and each its own proxies, judge by the same evidence. */
import { expect, test } from 'vitest'
import { limits } from '../core/limits.ts'
import type { EndpointOutcomes } from '../proto/gen/millrace/mesh/v1/mesh.ts'
import { stateName } from './snapshot/resource.ts'
import { hello, Play } from './testing/play.ts'

const NODES = ['a', 'b', 'c']
const FIRST = 1
const SECOND = 7

/** Each is told at once what the other's tick lays out, with the numbers that the bus would carry. */
class Pair {
  readonly left = new Play().connected()
  readonly right = new Play().connected()
  readonly #sequences = new Map<Play, bigint>()

  constructor() {
    for (const one of [this.left, this.right]) for (const node of NODES) one.reports(node)
    for (const one of [this.left, this.right]) this.tell(one, 'alive')
    this.run(20_000)
  }

  run(ms: number): this {
    for (let at = 0; at < ms; at += limits.membershipCoalesce)
      for (const one of [this.left, this.right]) {
        one.run(limits.membershipCoalesce, NODES)
        if (one.now % limits.replicaAlivePeriod === 0) this.tell(one, 'alive')
        for (const news of one.shared.splice(0)) this.tell(one, news)
      }
    return this
  }

  tell(from: Play, news: 'alive' | Play['shared'][number]): void {
    const sequence = (this.#sequences.get(from) ?? 0n) + 1n
    this.#sequences.set(from, sequence)
    const [to, replicaId] = from === this.left ? [this.right, 'left'] : [this.left, 'right']
    to.do({ kind: 'shared', shared: { replicaId, sequence, news: news === 'alive' ? { kind: news } : news } })
  }

  both<T>(read: (one: Play) => T): T[] {
    return [read(this.left), read(this.right)]
  }
}

const row = (fields: Partial<EndpointOutcomes>): EndpointOutcomes => ({
  ...{ endpointId: 'a/triton', inFlight: 0, successes: 0n, backpressures: 0n, failures: 0n, ejected: false },
  ...fields,
})
const says = (play: Play, stream: number, fields: Partial<EndpointOutcomes>) =>
  play.do({ kind: 'proxy-report', stream, report: { endpoints: [row(fields)] } })
const greets = (play: Play, stream: number, proxyId = 'p') => play.do({ kind: 'proxy-hello', stream, hello: hello(proxyId) })
const inFlight = (play: Play) => play.state.proxyViews.of('a/triton').inFlight
const state = (play: Play) => stateName(play.state.snapshot.get('a/triton')?.endpoint.state ?? 0)

test('what only a proxy of one saw makes both try the endpoint, and conclude the same', () => {
  const pair = new Pair()
  greets(pair.left, FIRST)
  says(pair.left, FIRST, { failures: 50n })
  pair.run(100)
  expect(pair.both(({ asked }) => asked)).toEqual([['a/triton'], ['a/triton']])
  for (const one of pair.both((play) => play)) {
    const address = one.state.snapshot.get('a/triton')?.endpoint.address ?? ''
    one.do({ kind: 'asked', endpoint: 'a/triton', address, connection: { open: false, reason: 'ECONNREFUSED' } })
  }
  expect(pair.both(state)).toEqual(['FAILED', 'FAILED'])
})

test('outcomes of all proxies add up: neither sees enough alone', () => {
  const pair = new Pair()
  greets(pair.left, FIRST, 'p')
  greets(pair.right, FIRST, 'q')
  for (const one of pair.both((play) => play)) says(one, FIRST, { failures: BigInt(limits.suspectFailures - 1) })
  expect(pair.both(({ asked }) => asked.length)).toEqual([0, 0])
  pair.run(100)
  expect(pair.both(({ asked }) => asked.length)).toEqual([1, 1])
})

test('a proxy that moves is counted once, whether or not its old stream has ended', () => {
  const pair = new Pair()
  greets(pair.left, FIRST)
  says(pair.left, FIRST, { inFlight: 7, failures: 3n })
  pair.run(100)
  expect(pair.both(inFlight)).toEqual([7, 7])
  greets(pair.right, SECOND)
  says(pair.right, SECOND, { inFlight: 6 })
  pair.run(100)
  expect(pair.both(inFlight)).toEqual([6, 6])
  pair.left.do({ kind: 'proxy-gone', stream: FIRST })
  pair.run(100)
  expect(pair.both(inFlight)).toEqual([6, 6])
  expect(pair.both((one) => one.state.proxyViews.outcomes('a/triton', one.now).failures)).toEqual([3, 3])
  pair.right.do({ kind: 'proxy-gone', stream: SECOND })
  pair.run(100)
  expect(pair.both(inFlight)).toEqual([0, 0])
})

test('what a control plane told that fell silent is forgotten', () => {
  const pair = new Pair()
  greets(pair.left, FIRST)
  says(pair.left, FIRST, { inFlight: 7 })
  pair.run(100)
  pair.right.run(limits.replicaSilenceMax, NODES)
  expect([inFlight(pair.right), pair.right.state.replicas.size]).toEqual([0, 0])
})

test('one that is alone tells nobody, and one that cannot tell keeps so much and no more', () => {
  const alone = new Play().connected().reports('a').run(20_000, ['a'])
  greets(alone, FIRST)
  says(alone, FIRST, { inFlight: 1 }).run(100)
  expect(alone.shared).toEqual([])
  const { left } = new Pair()
  greets(left, FIRST)
  for (let at = 0; at < limits.sharesWaitingMax; at++) says(left, FIRST, { inFlight: at })
  expect([left.state.shares.length, left.state.counts.sharesLeftOut]).toEqual([limits.sharesWaitingMax, 1])
})
