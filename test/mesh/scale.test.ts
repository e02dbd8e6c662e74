/** A fleet on one real control plane and a real nats-server, spoken for by the generators of `npm run scale`. Figures are printed, not judged. */
import { afterEach, expect, test } from 'vitest'
import { EndpointState, Freshness } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import { rowOf } from '../scale/measure.ts'
import { endpointsOf } from '../scale/node-speech.ts'
import { rowsTable } from '../scale/page.ts'
import { type Load, Stage } from '../scale/stage.ts'
import { tell } from '../tools/fleet.ts'

const { ENDPOINT_STATE_READY: READY } = EndpointState
const { FRESHNESS_FRESH: FRESH, FRESHNESS_LAST_RESORT: LAST_RESORT } = Freshness
const PATIENCE = { timeout: 30_000, interval: 100 }

let stage: Stage | undefined
afterEach(async () => {
  await stage?.close()
  stage = undefined
})

const open = async (load: Load): Promise<Stage> => {
  stage = await Stage.open(load)
  return stage
}

/** How many endpoints a client holds in each state and freshness. */
async function picture(of: Stage): Promise<Readonly<Record<string, number>>> {
  const [client] = of.clients
  if (client === undefined) throw new Error('nobody listens')
  const told = client.next('picture')
  client.send({ kind: 'picture' })
  return (await told).counts
}

const endpointsIn = (from: number, to: number): number =>
  Array.from({ length: to - from }, (_, at) => endpointsOf(from + at).length).reduce((sum, count) => sum + count, 0)

test('200 nodes report, 20 proxies listen: nothing is dropped, and every proxy hears of a failure', async () => {
  const fleet = await open({ nodes: 200, moving: 20, flapsPerSecond: 2, clients: 20, rows: 20 })
  const before = await fleet.sample()
  for (const node of [0, 7, 150]) {
    const seen = await fleet.watch(endpointsOf(node))
    const at = await fleet.say(node, 'fail')
    const times = await seen()
    expect(times).toHaveLength(20)
    tell(`FAILED reached 20 proxies within ${(Math.max(...times) - at).toFixed(1)} ms`)
  }
  await expect.poll(() => fleet.tally().then(({ reports }) => reports), PATIENCE).toBeGreaterThan(before.proxyReports + 60)
  const after = await fleet.sample()
  expect(after.drops).toBe(0)
  const row = rowOf({ table: 'fleet', name: '200 nodes', load: fleet.load }, before, after)
  tell(`\n${rowsTable('fleet', [row])}`)
})

test('a silent third of 300 nodes becomes the last resort, not dead; when more than half are silent together nothing is concluded', async () => {
  const fleet = await open({ nodes: 300, moving: 0, flapsPerSecond: 0, clients: 3, rows: 5 })
  const all = endpointsIn(0, 300)
  expect(await picture(fleet)).toEqual({ [`${READY} ${FRESH}`]: all })
  const silence = (from: number, to: number): void => {
    for (const { helper } of fleet.nodes) helper.send({ kind: 'silence', from, to })
  }
  silence(0, 100)
  const third = endpointsIn(0, 100)
  const lastResort = { [`${READY} ${FRESH}`]: all - third, [`${READY} ${LAST_RESORT}`]: third }
  await expect.poll(() => picture(fleet), PATIENCE).toEqual(lastResort)
  // Of the 200 that still speak 150 fall silent at once: then it is rather we who are deaf.
  silence(100, 250)
  const looksBefore = (await fleet.sample()).ticks
  await expect.poll(async () => (await fleet.sample()).ticks - looksBefore, PATIENCE).toBeGreaterThan(250)
  expect(await picture(fleet)).toEqual(lastResort)
})
