/** Plays of a whole control plane without its wires: agents report, operators drain, proxies come and go, time passes. */
import { describe, expect, test } from 'vitest'
import { limits } from '../core/limits.ts'
import { millis } from '../core/units.ts'
import { EndpointState, Freshness } from '../proto/gen/millrace/mesh/v1/mesh.ts'
import type { Intent } from './fleet/intent.ts'
import { hello, Play } from './testing/play.ts'
import { endpoint, gpu, HEALTH } from './testing/reports.ts'
import { nodeIds, nodeView, weightView } from './views/admin-views.ts'

const { ENDPOINT_STATE_DRAINING: DRAINING, ENDPOINT_STATE_FAILED: FAILED, ENDPOINT_STATE_READY: READY } = EndpointState
const FLEET = ['a', 'b', 'c'] as const

const intent = (node: string, want: Intent['want'], revision: number) =>
  ({ kind: 'intent', node, stored: { intent: { want, reason: 'fans', at: '' }, revision } }) as const

/** Three nodes that were there before, one proxy that has them all. */
function mesh(proxies = 1): Play {
  const play = new Play().connected()
  for (const node of FLEET) play.reports(node)
  for (let stream = 1; stream <= proxies; stream++) play.do({ kind: 'proxy-hello', stream, hello: hello(`p${stream}`) })
  play.run(40)
  for (let stream = 1; stream <= proxies; stream++) play.ack(stream)
  return play
}

const upserts = (play: Play, stream = 1) =>
  play.of(stream).flatMap(({ delta }) => delta.upserts.map(({ endpoint }) => [endpoint?.id, endpoint?.state, endpoint?.weight]))
const removed = (play: Play, stream = 1) => play.of(stream).flatMap(({ delta }) => delta.removed)
/** What wants an answer: membership and states. */
const asking = (play: Play, stream = 1) => play.of(stream).filter(({ delta }) => delta.nonce !== '')
const versions = (play: Play): Record<string, string> =>
  Object.fromEntries([...play.state.snapshot.resources()].map(({ endpoint, version }) => [endpoint.id, version]))
const weightOf = (play: Play, id: string): number | undefined => weightView(play.state, id)?.weight

describe('proxies', () => {
  test('the first delta is the whole fleet, the next ones only what changed', () => {
    const play = mesh()
    expect(upserts(play)).toEqual(FLEET.map((node) => [`${node}/triton`, READY, 100]))
    play.take()
    play.reports('b', { endpoints: [endpoint('b', { health: HEALTH.failed, healthReason: 'refused' })] }).run(40)
    expect(upserts(play)).toEqual([['b/triton', FAILED, 0]])
  })

  test('heartbeats of a quiet fleet push nothing but that loads hold', () => {
    const play = mesh().run(limits.settleAfter, FLEET)
    play.take()
    play.run(20_000, FLEET)
    const quiet = { nonce: '', upserts: [], removed: [], loads: [], loadsAnew: false, loadsHold: true }
    expect(play.take().map(({ delta: { snapshotVersion, ...rest } }) => rest)).toEqual(Array.from({ length: 20 }, () => quiet))
  })

  test('what happens within one tick is told once, the latest', () => {
    const play = mesh()
    play.take()
    for (const models of [['x'], ['y'], ['z']]) play.reports('b', { endpoints: [endpoint('b', { models })] })
    play.run(20)
    expect(play.of(1).map(({ delta }) => delta.upserts.map(({ endpoint }) => endpoint?.models))).toEqual([[['z']]])
  })

  test('proxies in step get the same bytes once laid out, under one nonce', () => {
    const play = mesh(3)
    play.take()
    play.reports('b', { endpoints: [endpoint('b', { models: ['x'] })] }).run(20)
    expect(play.pushed.map(({ stream }) => stream)).toEqual([1, 2, 3])
    expect(new Set(play.pushed.map(({ delta }) => delta.nonce)).size).toBe(1)
  })

  test('a proxy that comes back with its versions gets the differences only', () => {
    const play = mesh().run(limits.settleAfter, FLEET)
    const held = versions(play)
    play.do({ kind: 'proxy-gone', stream: 1 })
    play.reports('b', { endpoints: [endpoint('b', { models: ['x'] })] }).run(100, FLEET)
    play.take()
    play.do({ kind: 'proxy-hello', stream: 2, hello: hello('p1', { ...held, 'z/gone': 'ffff' }) }).run(40)
    expect(upserts(play, 2).map(([id]) => id)).toEqual(['b/triton'])
    expect(removed(play, 2)).toEqual(['z/gone'])
  })

  test('when all proxies come at once they take turns, and those of one turn share one message', () => {
    const play = mesh()
    const crowd = 3 * limits.greetingsPerRound
    const greetings = (of: Play) => of.take().filter(({ delta }) => delta.nonce !== '')
    for (let stream = 100; stream < 100 + crowd; stream++) play.do({ kind: 'proxy-hello', stream, hello: hello(`p${stream}`) })
    play.take()
    play.run(20)
    const turn = greetings(play)
    expect(turn).toHaveLength(limits.greetingsPerRound)
    expect(new Set(turn.map(({ delta }) => delta.nonce)).size).toBe(1)
    play.run(40)
    expect(greetings(play).map(({ delta }) => delta.upserts.length)).toEqual(Array.from({ length: crowd - turn.length }, () => 3))
  })

  test('a proxy that lacks nothing is told so', () => {
    const play = mesh()
    play.do({ kind: 'proxy-hello', stream: 2, hello: hello('p2', versions(play)) }).run(40)
    expect(asking(play, 2).map(({ delta }) => [delta.upserts.length, delta.removed.length, delta.snapshotVersion])).toEqual([
      [0, 0, play.state.snapshot.version],
    ])
  })

  test('a control plane that just started takes nothing away, and sends nothing twice, until the fleet had time to speak', () => {
    const before = versions(mesh())
    const play = new Play(50_000).connected()
    play
      .do({ kind: 'proxy-hello', stream: 1, hello: hello('p', before) })
      .reports('a')
      .run(5_000, ['a'])
      .reports('b')
      .run(3_000, ['a', 'b'])
    expect([upserts(play), removed(play)]).toEqual([[], []])
    play.run(limits.settleAfter, ['a', 'b'])
    expect([upserts(play), removed(play)]).toEqual([[], ['c/triton']])
  })

  test('what a proxy refused is counted, not repeated in a loop, and goes again with the next change', () => {
    const play = mesh()
    play.take()
    play.reports('b', { endpoints: [endpoint('b', { models: ['x'] })] }).run(20)
    const [bad] = play.take()
    play.do({ kind: 'proxy-nack', stream: 1, nonce: bad?.delta.nonce ?? '', reason: 'no such policy' }).run(5_000, FLEET)
    expect(play.take()).toEqual([])
    expect(play.state.counts.nacks).toBe(1)
    play.reports('c', { endpoints: [endpoint('c', { models: ['y'] })] }).run(40)
    expect(upserts(play).map(([id]) => id)).toEqual(['c/triton', 'b/triton'])
    expect(play.ack(1).state.proxies.get(1)?.inStep()).toBe(true)
  })

  test('a proxy that does not answer gets a bounded number of deltas, then the latest once', () => {
    const play = mesh()
    play.take()
    for (let at = 0; at < 2 * limits.unansweredDeltasMax; at++)
      play.reports('b', { endpoints: [endpoint('b', { models: [`m${at}`] })] }).run(20)
    expect(play.of(1)).toHaveLength(limits.unansweredDeltasMax)
    play.ack(1).take()
    play.run(20)
    expect(play.of(1).map(({ delta }) => delta.upserts.map(({ endpoint }) => endpoint?.models))).toEqual([
      [[`m${2 * limits.unansweredDeltasMax - 1}`]],
    ])
  })

  test('a proxy that does not read gets nothing until it does, then the latest once', () => {
    const play = mesh()
    play.do({ kind: 'proxy-blocked', stream: 1, blocked: true }).take()
    for (const models of [['x'], ['y']]) play.reports('b', { endpoints: [endpoint('b', { models, load: { queueDepth: 3 } })] }).run(600)
    expect(play.take()).toEqual([])
    play.do({ kind: 'proxy-blocked', stream: 1, blocked: false }).run(20)
    expect(play.of(1).map(({ delta }) => [delta.upserts[0]?.endpoint?.models, delta.loads[0]?.load?.queueDepth])).toEqual([
      [['y'], undefined],
      [undefined, 3],
    ])
  })

  test('loads come apart from membership, with their age, and behind the first delta', () => {
    const play = mesh().run(limits.calmPushPeriod)
    play.take()
    play.reports('a', { endpoints: [endpoint('a', { load: { queueDepth: 7 } })] }).run(20)
    expect(play.of(1).map(({ delta }) => [delta.upserts.length, delta.loads[0]?.endpointId, delta.loads[0]?.ageMs])).toEqual([
      [0, 'a/triton', 20],
    ])
    play
      .run(200)
      .do({ kind: 'proxy-hello', stream: 2, hello: hello('p2') })
      .run(40)
    const told = play.of(2).map(({ delta }) => [delta.upserts.length, delta.loads.find(({ load }) => load !== undefined)?.ageMs])
    expect(told).toEqual([
      [3, undefined],
      [0, 260],
    ])
  })

  test('what proxies see is shown beside the state, and goes with them', () => {
    const play = mesh()
    const reason = () => nodeView(play.state, 'a', play.now)?.endpoints[0]?.endpoint?.stateReason
    const row = { endpointId: 'a/triton', inFlight: 12, successes: 0n, backpressures: 0n, failures: 0n, ejected: true }
    play.do({ kind: 'proxy-report', stream: 1, report: { endpoints: [row, { ...row, endpointId: 'nobody/x' }] } })
    expect(reason()).toBe('ejected by one proxy; 12 in flight')
    play.do({ kind: 'proxy-gone', stream: 1 })
    expect(reason()).toBe('')
  })
})

describe('intent', () => {
  test('a drain is pushed at once, outlives a failure, and only an undrain lifts it', () => {
    const play = mesh()
    play.take()
    play.do(intent('a', 'drain', 1)).run(20)
    expect(upserts(play)).toEqual([['a/triton', DRAINING, 0]])
    play
      .reports('a', { endpoints: [endpoint('a', { health: HEALTH.failed })] })
      .reports('a')
      .reports('a')
      .run(40, FLEET)
    expect(weightView(play.state, 'a/triton')?.state).toBe(DRAINING)
    play.do(intent('a', 'serve', 2)).run(20)
    expect(weightView(play.state, 'a/triton')?.state).toBe(READY)
  })

  test('an older word never undoes a newer one', () => {
    const play = mesh()
      .do(intent('a', 'drain', 5), intent('a', 'serve', 4), intent('a', 'serve', 5))
      .run(20)
    expect(weightView(play.state, 'a/triton')?.state).toBe(DRAINING)
  })

  test('nothing is pushed before the stored intents are known: a drained node does not come back by a restart', () => {
    const play = new Play()
      .do({ kind: 'link', link: 'up' })
      .reports('a')
      .do({ kind: 'proxy-hello', stream: 1, hello: hello('p') })
    expect(play.run(5_000, ['a']).take()).toEqual([])
    play.do(intent('a', 'drain', 1), { kind: 'intents-known' }).run(20)
    expect(upserts(play)).toEqual([['a/triton', DRAINING, 0]])
  })

  test('a drained node that nobody reports is shown, so that it can be undrained', () => {
    const play = new Play().connected().do(intent('gone', 'drain', 1))
    expect(nodeIds(play.state)).toEqual(['gone'])
    expect(nodeView(play.state, 'gone', play.now)?.intentReason).toBe('fans')
  })
})

describe('weights', () => {
  test('a fleet that was ready before carries its full weight at once; who comes later starts slowly', () => {
    const play = mesh().run(limits.settleAfter, FLEET)
    expect(weightOf(play, 'a/triton')).toBe(100)
    play.reports('new')
    expect(weightOf(play, 'new/triton')).toBe(10)
    play.run(limits.slowStart / 2, [...FLEET, 'new'])
    expect(weightOf(play, 'new/triton')).toBeGreaterThan(40)
    expect(weightOf(play, 'new/triton')).toBeLessThan(60)
    play.run(limits.slowStart / 2 + 100, [...FLEET, 'new'])
    expect(weightOf(play, 'new/triton')).toBe(100)
  })

  test('proxies are told how much of a small weight is slow start', () => {
    const play = mesh().run(limits.settleAfter, FLEET)
    play.take()
    play.reports('new').run(limits.calmPushPeriod, [...FLEET, 'new'])
    const told = play
      .of(1)
      .flatMap(({ delta }) => delta.upserts.map(({ endpoint }) => [endpoint?.id, endpoint?.weight, endpoint?.slowStart]))
    expect(told).toEqual([['new/triton', 10, 0.1]])
    expect(play.state.snapshot.get('a/triton')?.endpoint.slowStart).toBeUndefined()
  })

  test('slow start reaches proxies in few steps', () => {
    const play = mesh().run(limits.settleAfter, FLEET)
    play.take()
    play.reports('new')
    for (let at = 0; at < 40; at++) play.run(1_000, [...FLEET, 'new']).ack(1)
    expect(asking(play)).toHaveLength(limits.slowStartSteps + 1)
  })

  test('one lost GPU of four takes a quarter of the weight, all of them the endpoint', () => {
    const uuids = ['g0', 'g1', 'g2', 'g3']
    const play = mesh()
    const lose = (count: number) => {
      const gpus = uuids.map((uuid, at) => gpu(uuid, at < count ? 'failed' : 'ok'))
      play.reports('a', { gpus, endpoints: [endpoint('a', { gpuUuids: uuids, capacity: 8 })] }).run(20)
      const endpointNow = play.state.snapshot.get('a/triton')?.endpoint
      return [endpointNow?.state, endpointNow?.weight, endpointNow?.capacity]
    }
    expect(lose(0)).toEqual([READY, 800, 8])
    expect(lose(1)).toEqual([READY, 600, 6])
    expect(lose(4)[0]).toBe(FAILED)
  })
})

describe('silence', () => {
  test('a silent node becomes stale, then the last resort, never FAILED, and one report makes it fresh', () => {
    const play = mesh().run(limits.linkReturnGrace, FLEET)
    play.take()
    play.run(6_000, ['b', 'c'])
    const seen = play
      .take()
      .flatMap(({ delta }) => delta.upserts.map(({ endpoint }) => [endpoint?.id, endpoint?.state, endpoint?.freshness]))
    expect(seen).toEqual([
      ['a/triton', READY, Freshness.FRESHNESS_STALE],
      ['a/triton', READY, Freshness.FRESHNESS_LAST_RESORT],
    ])
    play.reports('a').run(20)
    expect(play.state.snapshot.get('a/triton')?.endpoint.freshness).toBe(Freshness.FRESHNESS_FRESH)
  })

  test('a dead bus blames nobody', () => {
    const play = mesh().run(limits.linkReturnGrace, FLEET).do({ kind: 'link', link: 'down' })
    play.take()
    expect(play.run(120_000).take()).toEqual([])
  })

  test('a control plane that stood still for seconds makes nobody stale and tells proxies nothing of it', () => {
    const play = mesh().run(limits.settleAfter, FLEET)
    play.take()
    play.now = millis(play.now + 4_000)
    play.run(3_000, FLEET)
    expect(asking(play)).toEqual([])
    expect(play.state.counts.stalls).toBe(1)
  })

  test('a node that is silent for an hour is forgotten; its drain is not', () => {
    const play = mesh()
      .do(intent('a', 'drain', 1))
      .run(limits.nodeForgottenAfter + 10_000, ['b', 'c'])
    expect([...play.state.nodes.keys()]).toEqual(['b', 'c'])
    expect(removed(play)).toEqual(['a/triton'])
    expect(nodeIds(play.state)).toEqual(['a', 'b', 'c'])
  })
})

test('a fleet is bounded: one node too many is counted and left out', () => {
  const play = new Play().connected()
  for (let at = 0; at <= limits.nodesMax; at++) play.reports(`n${at}`, { endpoints: [] })
  expect(play.state.nodes.size).toBe(limits.nodesMax)
  expect(play.state.counts.drops['fleet-full']).toBe(1)
})
