/** Plays with agents that lie or err: each is named, counted, and made harmless. */
import { expect, test } from 'vitest'
import { limits } from '../core/limits.ts'
import { unixMillis } from '../core/units.ts'
import type { EndpointOutcomes } from '../proto/gen/millrace/mesh/v1/mesh.ts'
import { hello, Play } from './testing/play.ts'
import { endpoint, HEALTH, heartbeat, report } from './testing/reports.ts'
import { nodeView } from './views/admin-views.ts'

const FLEET = ['a', 'b', 'c'] as const

function mesh(): Play {
  const play = new Play().connected()
  for (const node of FLEET) play.reports(node)
  play.do({ kind: 'proxy-hello', stream: 1, hello: hello('p1') })
  return play.run(limits.settleAfter, FLEET)
}

const warnings = (play: Play, node = 'a'): readonly string[] => nodeView(play.state, node, play.now)?.warnings ?? []
const row = (fields: Partial<EndpointOutcomes> = {}): EndpointOutcomes => ({
  ...{ endpointId: 'a/triton', inFlight: 0, successes: 0n, backpressures: 0n, failures: 0n, ejected: false },
  ...fields,
})

test('a load that says idle while proxies wait is withheld from them, named, and believed again once it says otherwise', () => {
  const play = mesh()
  const says = (running: number) => play.reports('a', { endpoints: [endpoint('a', { load: { running, queueDepth: 0 } })] })
  const held = (seconds: number) => {
    for (let at = 0; at < seconds; at++)
      play.do({ kind: 'proxy-report', stream: 1, report: { endpoints: [row({ inFlight: 16 })] } }).run(1_000, FLEET)
  }
  says(0)
  held(3)
  expect([play.state.loads.newest('a/triton')?.running, warnings(play)]).toEqual([0, []])
  held(4)
  expect(play.state.loads.newest('a/triton')).toBeUndefined()
  expect(warnings(play)).toEqual([expect.stringContaining('a/triton: says it is idle while proxies wait for it')])
  play.take()
  play.run(3_000, FLEET)
  expect(play.of(1).flatMap(({ delta }) => delta.loads.map(({ endpointId }) => endpointId))).not.toContain('a/triton')

  says(5).run(500, FLEET)
  expect([play.state.loads.newest('a/triton')?.running, warnings(play)]).toEqual([5, []])
  expect(play.told('a').map((line) => line.split(':')[0])).toEqual(['NEW → READY', ' → idle-always', 'idle-always → '])
})

test('a clock that is an hour off is named, and nothing else comes of it', () => {
  const play = mesh()
  const at = (offMs: number) => play.reports('a', { wallClockUnixMs: BigInt(play.wall + offMs) })
  at(-3_600_000)
  expect(warnings(play)).toEqual([expect.stringMatching(/^its clock is 60 min behind/)])
  play.run(8_000, ['b', 'c']).run(1_000, FLEET)
  expect(nodeView(play.state, 'a', play.now)?.silentMs).toBeLessThan(1_000)
  at(5_000)
  expect(warnings(play)).toEqual([])
})

test('a clock that drifts is not news with every report', () => {
  const play = mesh()
  for (let drift = 0; drift < 100; drift++) play.reports('a', { wallClockUnixMs: BigInt(play.wall + 3_600_000 + drift * 50) })
  expect(play.told('a').filter((line) => line.includes('clock'))).toHaveLength(1)
})

test('old reports that come again are dropped and counted, and named when they are many', () => {
  const play = mesh()
  const old = report('a', 1, { endpoints: [endpoint('a', { health: HEALTH.failed })] })
  for (let at = 1; at < limits.replaysNamed; at++) play.hear(old)
  expect(warnings(play)).toEqual([])
  play.hear(old)
  expect(warnings(play)).toEqual([expect.stringContaining('old reports arrive again and again')])
  expect(play.state.counts.drops.replayed).toBe(limits.replaysNamed)
  expect(play.state.snapshot.get('a/triton')?.endpoint.stateReason).toBe('')
  play.run(limits.oddKept + 2_000, FLEET)
  expect(warnings(play)).toEqual([])
})

/** An agent that is another than the one that the play's own reports come from. */
class Twin {
  readonly play: Play
  readonly bootId: string
  #sequence = 0

  constructor(play: Play, bootId: string) {
    this.play = play
    this.bootId = bootId
  }

  full(): void {
    this.play.hear(report('a', ++this.#sequence, { bootId: this.bootId, endpoints: [endpoint('a', { address: '127.0.0.1:9999' })] }))
  }

  beats(): void {
    this.play.hear({ ...heartbeat('a', ++this.#sequence), bootId: this.bootId })
  }
}

const address = (play: Play): string | undefined => play.state.snapshot.get('a/triton')?.endpoint.address

test('two live agents of one name take no turns: the first keeps it, and the second is named', () => {
  const play = mesh()
  play.take()
  const twin = new Twin(play, 'other')
  twin.full()
  for (let at = 0; at < 60; at++) {
    play.run(500, FLEET)
    twin.beats()
  }
  expect(play.of(1).flatMap(({ delta }) => delta.upserts)).toEqual([])
  expect(address(play)).toBe('127.0.0.1:8001')
  expect(warnings(play)).toEqual([expect.stringContaining('two agents use the name of this node')])
  expect(play.state.counts.drops.contended).toBe(61)
})

test('a restart takes over once its predecessor missed two reports, before the node is stale, and nobody is blamed', () => {
  const play = mesh()
  play.take()
  const next = new Twin(play, 'restarted')
  play.run(300, ['b', 'c'])
  next.full()
  play.run(700, ['b', 'c'])
  next.beats()
  expect(address(play)).toBe('127.0.0.1:9999')
  expect(warnings(play)).toEqual([])
  expect(play.told('a')).toContain(' → agent-restarted: another start of its agent speaks for it')
  expect(play.told('a').filter((line) => line.includes('stale'))).toEqual([])
})

test('one that was replaced and speaks again is dropped and named, whatever it says', () => {
  const play = mesh()
  const next = new Twin(play, 'restarted')
  play.run(2_000, ['b', 'c'])
  next.full()
  play.reports('a')
  expect(address(play)).toBe('127.0.0.1:9999')
  expect(play.state.counts.drops['past-boot']).toBe(1)
  expect(warnings(play)).toEqual([expect.stringContaining('two agents')])
})

test('a second agent that falls silent is no rival any more', () => {
  const play = mesh()
  new Twin(play, 'other').full()
  play.run(5_000, FLEET)
  expect(play.state.contenders.size).toBe(0)
})

test('what cannot be read of a wall clock harms nobody', () => {
  const play = mesh()
  play.hear(report('a', 1_000, { wallClockUnixMs: 2n ** 64n - 1n }), unixMillis(0))
  expect(warnings(play)).toEqual([expect.stringContaining('ahead')])
})
