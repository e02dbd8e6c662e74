/** Zones through the whole mesh: requests stay in the zone of their proxy while it can do its work, spill as it loses endpoints, and come back. Nothing is lost. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Fleet, type FleetProxy, tell, until } from '../tools/fleet.ts'
import { Load } from '../tools/load.ts'

const PER_SECOND = 200
/** Long enough for a share of a third to be told from none and from all by far. */
const SPAN_MS = 600
const DEADLINE_MS = 60_000

let fleet: Fleet
let far: FleetProxy
const loads: Load[] = []

beforeAll(async () => {
  fleet = await Fleet.start({ nodes: 3, slots: 16, prefillMs: 5, zone: (at) => (at < 2 ? 'z1' : 'z2') })
  far = await fleet.startProxyIn('z2')
  loads.push(...[fleet.proxy, far].map(({ listen }) => new Load({ to: listen, perSecond: PER_SECOND })))
})
afterAll(async () => {
  await Promise.all(loads.map((load) => load.stop()))
  await fleet?.stop()
})

type Served = ReadonlyMap<string, number>

/** Of the requests, the part that nodes of other zones than this one served. */
function away(served: Served, own: string): number {
  const counts = fleet.nodes.map((node) => ({ own: node.zone === own, served: served.get(node.endpoint) ?? 0 }))
  const sum = (some: typeof counts): number => some.reduce((total, one) => total + one.served, 0)
  return sum(counts.filter((one) => !one.own)) / sum(counts)
}

/** Milliseconds from now to the first span in which such a part of a zone's requests is served elsewhere. */
async function whenAway(load: Load, holds: (part: number) => boolean, zone = 'z1'): Promise<number> {
  const since = performance.now()
  let held: number | undefined
  const look = (): boolean => {
    held = load.heldAfter(since, SPAN_MS, (served) => holds(away(served, zone)))
    return held !== undefined
  }
  await until('the requests go where they should', look, DEADLINE_MS)
  return held ?? Number.NaN
}

const spilled = (part: number): boolean => part > 0.15 && part < 0.45

test('requests stay in their zone, spill in part when it lost one endpoint of two and wholly when it lost both, and come back', async () => {
  const [load, other] = loads as [Load, Load]
  const [first, second] = [fleet.node(0), fleet.node(1)]
  await whenAway(other, (part) => part === 0, 'z2')
  const settledAt = performance.now()
  tell(`all at home after ${await whenAway(load, (part) => part === 0)} ms`)

  first.server.kill()
  tell(`a part spilled ${await whenAway(load, spilled)} ms after a server was killed`)
  await fleet.admin('drain', second.name)
  tell(`all spilled ${await whenAway(load, (part) => part === 1)} ms after the other one was drained`)

  await fleet.admin('undrain', second.name)
  tell(`a part is back ${await whenAway(load, spilled)} ms after the undrain`)
  await first.restartServer()
  tell(`all are back ${await whenAway(load, (part) => part === 0)} ms after the server was there again`)

  expect(away(other.served(settledAt), 'z2')).toBe(0)
  expect([...load.failed(), ...other.failed()]).toEqual([])
})
