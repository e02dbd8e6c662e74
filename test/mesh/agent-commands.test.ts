/** Operators' commands to agents through real parts: `millrace admin …` → control plane → NATS → agent, and the answer back. */
import { connect } from 'nats'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startVerb } from '../../cli/child.ts'
import { allTelemetry } from '../../core/subjects.ts'
import { NodeReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { Fleet } from '../tools/fleet.ts'
import { readMetric } from '../tools/proxy.ts'

const soon = { timeout: 20_000, interval: 20 }
const heard: NodeReport[] = []
let fleet: Fleet
let close: () => Promise<void>

beforeAll(async () => {
  fleet = await Fleet.start({ nodes: 1 })
  const connection = await connect({ servers: fleet.bus, reconnect: false })
  close = () => connection.close()
  connection.subscribe(allTelemetry('default'), { callback: (_, message) => void heard.push(NodeReport.decode(message.data)) })
  await connection.flush()
})
afterAll(async () => {
  await close?.()
  await fleet?.stop()
})

/** The one line of an action that failed, and what it ended with. */
async function failure(...argv: readonly string[]): Promise<string> {
  const child = await startVerb('admin', 'admin', [...argv, '--to', fleet.controlPlane.fields.listen ?? ''])
  const code = await child.exited
  return `${code}: ${child.stderr.join('\n')}`
}

test('a probe is answered with what it found', async () => {
  expect(await fleet.admin('probe', 'sim-1')).toBe('sim-1: sim-1/sim: READY')
  expect(JSON.parse(await fleet.admin('probe', 'sim-1', '--json'))).toEqual({ done: true, detail: 'sim-1/sim: READY' })
})

test('a report comes at once, and full', async () => {
  const before = heard.length
  expect(await fleet.admin('report', 'sim-1')).toContain('a full report is on its way')
  await expect.poll(() => heard.slice(before).some(({ full, wallClockUnixMs }) => full && wallClockUnixMs !== undefined), soon).toBe(true)
})

test('a local drain stands in every report and drains the node, until it is lifted', async () => {
  await fleet.admin('local-drain', 'sim-1', '--reason', 'new fans')
  await expect.poll(() => heard.at(-1), soon).toMatchObject({ localDrain: true, localDrainReason: 'new fans' })
  await expect.poll(() => fleet.admin('nodes'), soon).toMatch(/DRAINING \(drained: new fans\)/)
  await fleet.admin('local-undrain', 'sim-1')
  await expect.poll(() => heard.at(-1), soon).toMatchObject({ localDrain: false, localDrainReason: '' })
  await expect.poll(() => fleet.admin('nodes'), soon).not.toContain('DRAINING')
})

test('what cannot be done is told in one line that names the cause', async () => {
  expect(await failure('clear-fault', 'sim-1', 'GPU-none')).toBe("1: millrace admin: sim-1: no fault from the kernel's log holds GPU-none")
  expect(await failure('probe', 'sim-9')).toMatch(/^1: millrace admin: UNAVAILABLE: no agent of the name "sim-9" listens/)
  expect(await failure('clear-fault', 'sim-1')).toMatch(/^64: .*clear-fault wants NODE GPU, for example/)
  const ended = (end: string): Promise<number> =>
    readMetric(`http://${fleet.controlPlane.fields.metrics}/metrics`, 'millrace_control_agent_commands_total', `ended="${end}"`)
  expect([await ended('not-done'), await ended('nobody-listens')]).toEqual([1, 1])
})
