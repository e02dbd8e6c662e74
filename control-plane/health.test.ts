/** Plays of the four records of health: what agents, proxies, GPUs and operators say of an endpoint, and what comes of it, with its cause. */
import { describe, expect, test } from 'vitest'
import { limits } from '../core/limits.ts'
import { type EndpointOutcomes, EndpointState, Panic } from '../proto/gen/millrace/mesh/v1/mesh.ts'
import { XidAction } from '../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { hello, Play } from './testing/play.ts'
import { endpoint, gpu, HEALTH } from './testing/reports.ts'
import { weightView, wholeNode } from './views/admin-views.ts'

const FLEET = ['a', 'b', 'c'] as const
const {
  ENDPOINT_STATE_BUSY: BUSY,
  ENDPOINT_STATE_DRAINING: DRAINING,
  ENDPOINT_STATE_FAILED: FAILED,
  ENDPOINT_STATE_PROBATION: PROBATION,
  ENDPOINT_STATE_READY: READY,
} = EndpointState

function mesh(): Play {
  const play = new Play().connected()
  for (const node of FLEET) play.reports(node)
  for (const stream of [1, 2]) play.do({ kind: 'proxy-hello', stream, hello: hello(`p${stream}`) })
  return play.run(limits.settleAfter, FLEET)
}

const stateOf = (play: Play, id = 'a/triton') => play.state.snapshot.get(id)?.endpoint.state
const weightOf = (play: Play, id = 'a/triton') => weightView(play.state, id)?.weight

function outcomes(play: Play, fields: Partial<Record<'successes' | 'backpressures' | 'failures', number>>, endpointId = 'a/triton'): Play {
  const { successes = 0, backpressures = 0, failures = 0 } = fields
  const row: EndpointOutcomes = {
    ...{ endpointId, inFlight: 0, ejected: false },
    ...{ successes: BigInt(successes), backpressures: BigInt(backpressures), failures: BigInt(failures) },
  }
  return play.do({ kind: 'proxy-report', stream: 1, report: { endpoints: [row] } }).run(20)
}

const answers = (play: Play, open: boolean, endpointId = 'a/triton'): Play =>
  play
    .do({
      kind: 'asked',
      endpoint: endpointId,
      address: '127.0.0.1:8001',
      connection: open ? { open } : { open, reason: 'connect ECONNREFUSED' },
    })
    .run(20)

describe('what proxies see', () => {
  test('failures alone fail nobody: a connection is asked for, and what it says counts', () => {
    const play = outcomes(mesh(), { failures: 20 })
    expect([play.asked, stateOf(play)]).toEqual([['a/triton'], READY])
    answers(play, false)
    expect([stateOf(play), play.told('a').at(-1)]).toEqual([
      FAILED,
      'READY → FAILED: requests fail, and so does a fresh connection: connect ECONNREFUSED',
    ])
    play.run(limits.suspectAgain + 100, FLEET)
    expect(play.asked).toEqual(['a/triton', 'a/triton'])
    answers(play, true)
    expect([stateOf(play), weightOf(play)]).toEqual([PROBATION, 10])
    outcomes(play, { successes: 9 })
    expect([stateOf(play), weightOf(play)]).toEqual([READY, 10])
    play.run(limits.slowStart + 100, FLEET)
    expect(weightOf(play)).toBe(100)
  })

  test("an answer for an address that is no longer its own is nobody's", () => {
    const play = outcomes(mesh(), { failures: 20 })
    play.reports('a', { endpoints: [endpoint('a', { address: '127.0.0.1:9000' })] })
    expect(stateOf(answers(play, false))).toBe(READY)
  })

  test('without requests a doubt ends by itself', () => {
    const play = answers(outcomes(mesh(), { failures: 20 }), true)
    play.run(limits.suspectQuiet - 1_000, FLEET)
    expect(stateOf(play)).toBe(PROBATION)
    play.run(2_000, FLEET)
    expect(stateOf(play)).toBe(READY)
  })

  test('a control plane that reaches hardly anybody fails nobody', () => {
    const play = mesh()
    for (const node of FLEET) outcomes(play, { failures: 20 }, `${node}/triton`)
    answers(play, false, 'a/triton')
    expect(stateOf(play, 'a/triton')).toBe(FAILED)
    answers(play, false, 'b/triton')
    expect(FLEET.map((node) => stateOf(play, `${node}/triton`))).toEqual([PROBATION, PROBATION, READY])
    answers(play, true, 'b/triton')
    expect(FLEET.map((node) => stateOf(play, `${node}/triton`))).toEqual([FAILED, PROBATION, READY])
  })

  test('what they are turned away from is busy, for a while, and never failed', () => {
    const play = outcomes(mesh(), { backpressures: 500 })
    expect([stateOf(play), weightOf(play), play.asked]).toEqual([BUSY, 100, []])
    play.run(3 * limits.outcomeWindow, FLEET)
    expect(stateOf(play)).toBe(READY)
    expect(play.told('a').slice(1)).toEqual(['READY → BUSY: it turns requests away', 'BUSY → READY: '])
  })
})

describe('what agents see', () => {
  test('a server that is busy says so itself, and lives', () => {
    const play = mesh().reports('a', { endpoints: [endpoint('a', { health: HEALTH.busy, healthReason: 'queue full' })] })
    expect([stateOf(play), play.told('a').at(-1)]).toEqual([BUSY, 'READY → BUSY: queue full'])
  })

  test("a drain by the host's owner is his to lift", () => {
    const play = mesh()
    play.reports('a', { localDrain: true, localDrainReason: 'cleaning' })
    expect([stateOf(play), play.state.snapshot.get('a/triton')?.endpoint.panic]).toEqual([DRAINING, Panic.PANIC_NEVER])
    play.reports('a')
    expect([stateOf(play), weightOf(play)]).toEqual([READY, 100])
  })

  test('a heartbeat that changes nothing concludes nothing', () => {
    const play = mesh()
    play.changes.length = 0
    play.run(9_000, FLEET)
    expect(play.changes).toEqual([])
    expect(play.state.unsteady.size).toBe(0)
  })
})

describe('GPUs', () => {
  const says = (play: Play, fields: Parameters<typeof gpu>[2], state: 'ok' | 'failed' = 'ok') =>
    play.reports('a', { gpus: [gpu('GPU-1', state, fields)], endpoints: [endpoint('a', { gpuUuids: ['GPU-1'] })] }).run(20)

  test('heat takes weight first, drains next, and gives both back slowly', () => {
    const play = says(mesh(), {})
    says(play, { throttleReasons: 0x40n })
    expect([stateOf(play), weightOf(play)]).toEqual([READY, 40])
    play.run(limits.throttleDrain + 100, FLEET)
    expect([stateOf(play), weightOf(play), play.state.snapshot.get('a/triton')?.endpoint.panic]).toEqual([DRAINING, 40, Panic.PANIC_MAY])
    says(play, { throttleReasons: 0n })
    expect(stateOf(play)).toBe(DRAINING)
    play.run(limits.throttleClear + 100, FLEET)
    expect([stateOf(play), weightOf(play)]).toEqual([READY, 100])
    expect(play.told('a').slice(1)).toEqual([
      'READY → READY: GPU-1: slowed down by heat or power',
      'READY → DRAINING: out of caution (GPU-1: slowed down by heat or power for more than 30 s)',
      'DRAINING → READY: ',
    ])
  })

  test('throttling that flutters reaches proxies as one fall and one slow rise', () => {
    const play = says(mesh(), {})
    play.take()
    for (let at = 0; at < 20; at++)
      says(play, { throttleReasons: at % 2 === 0 ? 0x20n : 0n })
        .run(480, ['b', 'c'])
        .ack(1)
    play.run(60_000, FLEET)
    const weights = play.of(2).flatMap(({ delta }) => delta.upserts.map(({ endpoint }) => endpoint?.weight))
    expect([...new Set(weights)]).toEqual([70, 95, 100])
  })

  test('a GPU that asks to be drained is not asked in panic either; nor is one that asks for a reset', () => {
    const play = mesh()
    says(play, { recoveryAction: 'Drain and Reset', stateReason: 'recovery action: Drain and Reset' }, 'failed')
    expect(play.state.snapshot.get('a/triton')?.endpoint).toMatchObject({ state: DRAINING, weight: 0, panic: Panic.PANIC_NEVER })
    says(play, { recoveryAction: 'Reset', stateReason: 'recovery action: Reset' }, 'failed')
    expect(play.state.snapshot.get('a/triton')?.endpoint).toMatchObject({ state: FAILED, panic: Panic.PANIC_NEVER })
  })
})

describe('history', () => {
  test('what happened to a node is told with cause and time, newest first', () => {
    const play = mesh()
    const before = play.wall
    play.run(500, ['b', 'c']).reports('a', {
      gpus: [gpu('GPU-1', 'failed', { stateReason: 'Xid 79: fallen off the bus' })],
      endpoints: [endpoint('a', { gpuUuids: ['GPU-1'] })],
      events: [
        {
          ...{ ageMs: 120n, kind: 'xid', detail: 'GPU has fallen off the bus', gpuUuid: 'GPU-1', xid: 79 },
          xidAction: XidAction.XID_ACTION_REBOOT_NODE,
        },
      ],
    })
    const history = wholeNode(play.state, 'a', play, 'here')?.node?.history ?? []
    expect(history.map(({ atUnixMs, endpointId, from, to, reason }) => [Number(atUnixMs) - before, endpointId, from, to, reason])).toEqual([
      [500, 'a/triton', 'READY', 'FAILED', 'no usable GPU (GPU-1: Xid 79: fallen off the bus)'],
      [380, '', '', 'xid', 'Xid 79 on GPU-1: GPU has fallen off the bus (reboot the node)'],
      [-limits.settleAfter, 'a/triton', 'NEW', 'READY', ''],
    ])
  })

  test('changes go to watchers with the tick, each once', () => {
    const play = mesh()
    play.changes.length = 0
    play.reports('a', { endpoints: [endpoint('a', { health: HEALTH.failed, healthReason: 'refused' })] }).run(100)
    expect(play.changes.flatMap(({ states }) => states.map(({ endpoint, to }) => [endpoint, to]))).toEqual([['a/triton', 'FAILED']])
  })

  test('an intent and silence are told of the node', () => {
    const play = mesh()
    const drain = { want: 'drain', reason: 'fans', at: '' } as const
    play
      .do({ kind: 'intent', node: 'a', stored: { intent: drain, revision: 1 } })
      .run(5_000, ['b', 'c'])
      .run(500, FLEET)
    expect(play.told('a').slice(1)).toEqual([
      'serve → drain: fans',
      'READY → DRAINING: drained: fans',
      'fresh → stale: it missed 3 reports',
      'stale → last-resort: it missed 6 reports',
      'last-resort → fresh: it is heard again',
    ])
  })

  test('of one node so many are remembered, the newest', () => {
    const play = mesh()
    for (let at = 0; at < 2 * limits.changesPerNodeMax; at++)
      play.reports('a', { endpoints: [endpoint('a', { health: HEALTH.busy, healthReason: `queue ${at}` })] }).run(20)
    const told = play.told('a')
    expect(told).toHaveLength(limits.changesPerNodeMax)
    expect(told.at(-1)).toContain(`queue ${2 * limits.changesPerNodeMax - 1}`)
    expect(play.state.history.size).toBe(FLEET.reduce((sum, node) => sum + play.told(node).length, 0))
  })
})

describe('a fleet of 3,000', () => {
  const nodes = Array.from({ length: 3_000 }, (_, at) => `n${at}`)
  const freshness = (play: Play): Readonly<Record<string, number>> => {
    const counts: Record<string, number> = {}
    for (const node of nodes) counts[play.state.silence.freshness(node)] = (counts[play.state.silence.freshness(node)] ?? 0) + 1
    return counts
  }
  const states = (play: Play) => [...new Set([...play.state.snapshot.resources()].map(({ endpoint }) => endpoint.state))]
  const fleet = (): Play => {
    const play = new Play().connected()
    for (const node of nodes) play.reports(node)
    return play.run(limits.linkReturnGrace + 1_000, nodes)
  }

  test('of which a third falls silent: last resort, not dead', () => {
    const play = fleet().run(6 * 500 + 1_000, nodes.slice(1_000))
    expect([freshness(play), states(play)]).toEqual([{ 'last-resort': 1_000, fresh: 2_000 }, [READY]])
  })

  test('of which more than half falls silent: nothing changes', () => {
    const play = fleet()
    play.state.change.nodes.clear()
    play.run(10_000, nodes.slice(1_501))
    expect([freshness(play), states(play)]).toEqual([{ fresh: 3_000 }, [READY]])
  })

  test('whose bus is away, and 5 s after it returned: nothing changes, then who is silent is', () => {
    const play = fleet().do({ kind: 'link', link: 'down' }).run(30_000).do({ kind: 'link', link: 'up' })
    play.run(limits.linkReturnGrace, nodes.slice(1_000))
    expect(freshness(play)).toEqual({ fresh: 3_000 })
    play.run(4_000, nodes.slice(1_000))
    expect(freshness(play)).toEqual({ 'last-resort': 1_000, fresh: 2_000 })
  })
})
