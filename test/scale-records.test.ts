/** What the fleet's measurement makes of its samples, and that its generators say what agents say. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type HeardReport, isMalformed, parseReport } from '../control-plane/fleet/parse-report.ts'
import { EndpointHealth } from '../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { spread } from './scale/latency.ts'
import { rowOf } from './scale/measure.ts'
import { endpointsOf, NodeSpeech, nodeName, WATCHED_MODEL, WATCHED_NODE } from './scale/node-speech.ts'
import { scalePage } from './scale/page.ts'
import { PLANS, TABLES } from './scale/plans.ts'
import { scaleRow, scaleRun } from './scale/records.ts'
import { readScaleSettings } from './scale/settings.ts'
import type { Sample } from './scale/stage.ts'

const NOTHING: Sample = {
  atMs: 1_000,
  userSeconds: 0,
  kernelSeconds: 0,
  reports: 0,
  drops: 0,
  ticks: 0,
  tickSeconds: 0,
  messages: 0,
  bytes: 0,
  acks: 0,
  proxyReports: 0,
  rssMib: 0,
  heapMib: 0,
  delayP99Ms: 0,
  delayMaxMs: 0,
}
const plan = PLANS[0] as (typeof PLANS)[number]

test('a row is what grew between two samples, by the time that passed', () => {
  const after = {
    ...NOTHING,
    atMs: 5_000,
    userSeconds: 0.6,
    kernelSeconds: 0.2,
    reports: 8_000,
    ticks: 200,
    tickSeconds: 0.1,
    bytes: 2 ** 22,
    rssMib: 99,
  }
  expect(scaleRow.parse(rowOf(plan, NOTHING, after))).toMatchObject({
    seconds: 4,
    coreShare: 0.2,
    kernelShare: 0.05,
    reportsPerSecond: 2_000,
    cpuPerReportMicros: 100,
    tickMicros: 500,
    mibPerSecond: 1,
    rssMib: 99,
  })
})

test('the cost of a report that nobody made is unknown', () => {
  expect(rowOf(plan, NOTHING, { ...NOTHING, atMs: 2_000, userSeconds: 1 }).cpuPerReportMicros).toBeUndefined()
})

test.each([
  [[], [undefined, undefined, undefined]],
  [[7], [7, 7, 7]],
  [Array.from({ length: 1_000 }, (_, at) => 1_000 - at), [501, 991, 1_000]],
])('of %j the middle, the hundredth from the end and the last', (times, expected) => {
  const { p50Ms, p99Ms, maxMs } = spread(times)
  expect([p50Ms, p99Ms, maxMs]).toEqual(expected.map((one) => one ?? Number.NaN))
})

test('the page is what its JSON says', () => {
  const run = scaleRun.parse(JSON.parse(readFileSync(new URL('../docs/scale.json', import.meta.url), 'utf8')))
  expect(readFileSync(new URL('../docs/scale.md', import.meta.url), 'utf8')).toBe(scalePage(run))
})

test('every table has a plan, and no two rows of it the same name', () => {
  for (const table of TABLES) {
    const names = PLANS.filter((one) => one.table === table).map(({ name }) => name)
    expect(names.length).toBeGreaterThan(0)
    expect(new Set(names).size).toBe(names.length)
  }
})

/** The report in a message that is framed for NATS. */
function heard(message: Buffer): HeardReport {
  const [verb, subject = '', length] = message.subarray(0, message.indexOf('\r\n')).toString().split(' ')
  const from = message.indexOf('\r\n') + 2
  expect([verb, message.length]).toEqual(['PUB', from + Number(length) + 2])
  const report = parseReport(new Uint8Array(message.subarray(from, from + Number(length))), subject.split('.').at(-1) ?? '')
  if (isMalformed(report)) throw new Error(`${report.malformed}: ${report.detail}`)
  return report
}

test('a generator’s reports pass the door that agents’ pass, in order, with what was written over them', () => {
  const speech = new NodeSpeech('default', 8)
  const full = heard(speech.whole(true, 17))
  expect(full).toMatchObject({ nodeId: nodeName(8), full: true, sequence: 1, intervalMs: 500 })
  expect(full.gpus).toHaveLength(8)
  expect(full.endpoints.map(({ id, load, health }) => [id, load?.queueDepth, health])).toEqual(
    endpointsOf(8).map((id) => [id, 17, EndpointHealth.ENDPOINT_HEALTH_READY]),
  )
  expect(heard(speech.beat())).toMatchObject({ full: false, sequence: 2, gpus: [], endpoints: [] })
  speech.setHealth(EndpointHealth.ENDPOINT_HEALTH_FAILED)
  const failed = heard(speech.whole(false, 3))
  expect([failed.full, failed.sequence, ...failed.endpoints.map(({ health }) => health)]).toEqual([
    false,
    3,
    EndpointHealth.ENDPOINT_HEALTH_FAILED,
    EndpointHealth.ENDPOINT_HEALTH_FAILED,
  ])
  for (let at = 0; at < 300; at++) speech.beat()
  expect(heard(speech.beat()).sequence).toBe(304)
})

test('one node alone has the model that is watched', () => {
  const models = (at: number) => heard(new NodeSpeech('default', at).whole(true, 1)).endpoints.flatMap((one) => one.models)
  expect(models(WATCHED_NODE)).toContain(WATCHED_MODEL)
  expect(models(WATCHED_NODE + 1)).not.toContain(WATCHED_MODEL)
})

test.each([
  ['', undefined],
  ['--no-docs', '--no-docs'],
  ['--tables whole', 'it is written by a run of all tables'],
  ['--quick', 'it is written by a run of all tables'],
  ['--seconds 2', 'it is written by a run with --seconds 8 or more'],
])('a run with "%s" leaves docs alone because: %s', (argv, why) => {
  expect(readScaleSettings(argv.split(' ').filter((one) => one !== '')).docsLeft).toBe(why)
})

test.each(['--tables sky', '--seconds 0', '--profile --page', '--what'])('%s is a mistake in words', (argv) => {
  expect(() => readScaleSettings(argv.split(' '))).toThrow(/wants|at a time|shows what there is/)
})
