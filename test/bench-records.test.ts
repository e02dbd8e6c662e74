/** What the benchmark makes of its records: judgements, slopes, profiles, charts. */
import { expect, test } from 'vitest'
import { Chart } from '../core/show/chart.ts'
import { costChart, memoryChart, ratioChart } from './bench/charts.ts'
import { summarise as summariseProfile } from './bench/profile.ts'
import { profileTables } from './bench/profile-tables.ts'
import { type ComparisonRun, comparisonRun, type MemoryRun, memoryRun, toJson } from './bench/records.ts'
import { memoryText, targetTable } from './bench/report.ts'
import { SCENARIOS } from './bench/scenarios.ts'
import { readBenchSettings } from './bench/settings.ts'
import { slopeOf } from './bench/statistics.ts'
import { subjectOf } from './bench/subjects.ts'
import { judge } from './bench/targets.ts'

const machine = { cpu: 'a <processor>', cores: 2, memoryGib: 8, system: 'Linux 6', node: '24.0.0', loadGenerator: 'grpc v1' }
const origin = { at: '2026-01-02T03:04:05.000Z', commit: 'abc1234', machine }

const comparison = (ratio: number): ComparisonRun => ({
  ...origin,
  seconds: 3,
  rounds: 3,
  peers: [{ name: 'envoy', about: 'theirs', version: '1' }],
  rows: [
    { round: 1, scenario: 'real', peer: 'millrace', values: { cpuPerRequestMicros: 10 * ratio } },
    { round: 1, scenario: 'real', peer: 'envoy', values: { cpuPerRequestMicros: 10 } },
    { round: 1, scenario: 'idle', peer: 'millrace', values: { rssPerStreamKib: 2.24 } },
    { round: 1, scenario: 'open', peer: 'millrace', values: { p99Micros: 900 } },
    { round: 1, scenario: 'open', peer: 'direct', values: { p99Micros: 700 } },
  ],
  ratios: [
    { scenario: 'real', peer: 'envoy', metric: 'cpuPerRequestMicros', ratio },
    { scenario: 'workers', peer: 'millrace-2', metric: 'cpuPerRequestMicros', ratio: 0.8 },
  ],
})

test('a target is met at its figure, and what was not measured is not judged', () => {
  const verdicts = (ratio: number) => judge(comparison(ratio)).map(({ what, found, met }) => [what, found, met])
  expect(verdicts(0.504)).toEqual([
    ['real, CPU beside envoy', '0.50 ×', true],
    ['workers, CPU of a request, two beside one', '1.25 ×', false],
    ['idle, memory of a stream', '2.2 KiB', true],
    ['open, p99 added to direct', '200 µs', true],
  ])
  expect(verdicts(0.51)[0]).toEqual(['real, CPU beside envoy', '0.51 ×', false])
  expect(targetTable(comparison(0.6))).toContain('| missed |')
})

test('a record that was written is read again as it was', () => {
  const run = comparison(0.5)
  expect(comparisonRun.parse(JSON.parse(toJson(run)))).toEqual(run)
  expect(toJson(run).split('\n')).toHaveLength(22)
})

test('a slope is that of the nearest line, and its error grows with what strays from it', () => {
  const minutes = Array.from({ length: 11 }, (_, i) => i)
  expect(slopeOf(minutes.map((x) => [x, 1000 + 7 * x] as const))).toEqual({ kibPerMinute: 7, errorKibPerMinute: 0 })
  const noisy = slopeOf(minutes.map((x) => [x, 1000 + (x % 2 === 0 ? 50 : -50)] as const))
  expect(Math.abs(noisy.kibPerMinute)).toBeLessThan(noisy.errorKibPerMinute)
  expect(slopeOf([[0, 1]]).errorKibPerMinute).toBe(Number.POSITIVE_INFINITY)
})

const memory: MemoryRun = {
  ...{ ...origin, minutes: 10, load: ['this', 'that'], requests: 1_000, messages: 20_000, errors: 0 },
  samples: [
    { minute: 1, rssKib: 230_000, heapKib: 15_000, externalKib: 16_000 },
    { minute: 10, rssKib: 231_000, heapKib: 15_100, externalKib: 16_000 },
  ],
  slopes: {
    heap: { kibPerMinute: 11.1, errorKibPerMinute: 3 },
    external: { kibPerMinute: -0.04, errorKibPerMinute: 2 },
    rss: { kibPerMinute: 111, errorKibPerMinute: 40 },
  },
}

test('memory is told with its error, and its record can be read again', () => {
  expect(memoryText(memory)).toContain('heap of all after a collection:   +11.1 ± 3.0 KiB/min')
  expect(memoryRun.parse(JSON.parse(toJson(memory)))).toEqual(memory)
})

test('charts are the same bytes for the same numbers, hold their text as text, and escape it', () => {
  const all = [ratioChart(comparison(0.5), SCENARIOS), costChart(comparison(0.5), SCENARIOS, 'a < b'), memoryChart(memory)]
  expect(all).toEqual([ratioChart(comparison(0.5), SCENARIOS), costChart(comparison(0.5), SCENARIOS, 'a < b'), memoryChart(memory)])
  expect(all[0]).toContain('>0.50</text>')
  expect(all[1]).toContain('>a &lt; b</text>')
  for (const svg of all) {
    expect(svg).toMatch(/^<svg xmlns[^>]+>\n<title>[^<]+<\/title>/)
    expect(svg).not.toMatch(/NaN|undefined|Infinity/)
  }
})

test('a chart keeps one decimal', () => {
  const chart = new Chart(10, 10, 't')
  chart.line(1 / 3, 2, 3.149, 4, 'grid')
  expect(String(chart)).toContain('<line x1="0.3" y1="2" x2="3.1" y2="4" class="grid"/>')
})

test.each([
  ['#field', 'file:///x/data-plane/http2/hpack-decoder.ts', 'header compression'],
  ['beginData', 'file:///x/data-plane/http2/connection.ts', 'walking frames, streams, credit'],
  ['feed', 'file:///x/data-plane/grpc/message-walker.ts', 'scanning messages'],
  ['pick', 'file:///x/data-plane/routing/routing-table.ts', 'picking an endpoint, ledger'],
  ['onHead', 'file:///x/data-plane/relay/exchange.ts', 'the exchange'],
  ['writeBuffer', '', 'socket writes'],
  ['(garbage collector)', '', 'garbage collection'],
  ['memcpy', '', 'other native functions'],
  ['listOnTimeout', 'node:internal/timers', 'Node’s JavaScript'],
  ['parse', 'file:///x/node_modules/zod/index.js', 'packages'],
])('%s of %j is %s', (functionName, url, subject) => {
  expect(subjectOf({ functionName, url, lineNumber: 0 }).subject).toBe(subject)
})

const frame = (functionName: string, url = '') => ({ functionName, url, lineNumber: 9 })
const profile = {
  nodes: [
    { id: 1, callFrame: frame('(idle)') },
    { id: 2, callFrame: frame('writeBuffer') },
    { id: 3, callFrame: frame('onHead', 'file:///x/data-plane/relay/exchange.ts') },
  ],
  samples: [1, 2, 2, 3, 1],
  timeDeltas: [0, 500, 300, 100, 100],
}

test('a profile’s shares are of the time with work, by the time until the next sample', () => {
  expect(summariseProfile(profile)).toEqual({
    busySeconds: 0.0005,
    shares: [
      { subject: 'socket writes', share: 0.8 },
      { subject: 'the exchange', share: 0.2 },
    ],
    hottest: [
      { where: 'writeBuffer', share: 0.8 },
      { where: 'onHead data-plane/relay/exchange.ts:10', share: 0.2 },
    ],
  })
})

test('the profile’s tables put scenarios beside one another', () => {
  const scenario = { userSeconds: 1, kernelSeconds: 1, cpuPerUnitMicros: 12.34, ...summariseProfile(profile), busySeconds: 3 }
  const text = profileTables({
    ...origin,
    seconds: 3,
    scenarios: [
      { ...scenario, name: 'real', unit: 'request' },
      { ...scenario, name: 'paced', unit: 'message', shares: [] },
    ],
  })
  expect(text).toMatch(/\| CPU of the worker, profiler included +\| 12\.3 µs per request +\| 12\.3 µs per message +\|/)
  // Of 3 s with work 2 were spent on a core: what was waited is taken off the writes, 2.4 s of the 3.
  expect(text).toMatch(/\| socket writes +\| 70 % +\| 0\.0 % +\|/)
  expect(text).toMatch(/\| the exchange +\| 30 % +\| 0\.0 % +\|/)
})

const read = (...argv: string[]) =>
  readBenchSettings(
    argv,
    ['millrace', 'envoy', 'haproxy', 'tcp-splice'],
    SCENARIOS.map((one) => one.name),
  )

test('--quick is one round of what has a target, and other flags still choose', () => {
  expect(read('--quick')).toMatchObject({ rounds: 1, which: ['millrace', 'envoy', 'haproxy', 'tcp-splice'], docsLeft: expect.any(String) })
  expect(read('--quick', '--rounds', '2', '--scenarios', 'real')).toMatchObject({ rounds: 2, scenarios: ['real'] })
})

test.each([
  [['--memory'], { what: 'memory', minutes: 10, docsLeft: undefined }],
  [['--memory', '--minutes', '1'], { what: 'memory', minutes: 1, docsLeft: expect.stringContaining('--minutes 10') }],
  [['--profile'], { what: 'profile', scenarios: ['real', 'tls', 'paced', 'spread'], docsLeft: undefined }],
  [['--everything'], { what: 'everything', docsLeft: undefined }],
  [['--everything', '--which', 'envoy'], { docsLeft: expect.stringContaining('all peers') }],
  [['--page'], { what: 'page' }],
  [['--help', '--memory'], { what: 'help' }],
])('%j is read', (argv, expected) => {
  expect(read(...argv)).toMatchObject(expected)
})

test('two kinds of run at once are refused', () => {
  expect(() => read('--memory', '--profile')).toThrow('one of --memory and --profile at a time')
})
