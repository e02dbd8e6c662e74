import { globSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parseScenario } from './read-scenario.ts'

const GOOD = `about: for a test
fleet:
  - { gpu: h100, count: 2 }
  - { slots: 4, prefillMs: 20, tokenMs: 10 }
workload:
  prompt: { median: 100, max: 1000 }
  output: { median: 10, max: 100 }
`

test('what is left out has its default, and the file names the scenario', () => {
  const scenario = parseScenario(GOOD, 'some/where/small.yaml')
  expect(scenario).toMatchObject({ name: 'small', proxies: 2, faults: [], telemetry: { delayMs: 2, lostShare: 0 } })
  expect(scenario.servers.map(({ kind }) => kind)).toEqual(['batch', 'batch', 'slots'])
})

test('a queue is said as in a model’s row, and tenants may be of its bands', () => {
  const admission = { maxWaitMs: 500, priorityKey: 'x-band', bands: ['high', 'low'], tenantKey: 'x-tenant', weights: { a: 2 } }
  const text = GOOD.replace('workload:', 'workload:\n  tenants: [{ name: a, share: 1, band: high }]')
  const scenario = parseScenario(`${text}admission: ${JSON.stringify(admission)}\n`, 'x.yaml')
  expect(scenario).toMatchObject({ admission, workload: { tenants: [{ name: 'a', band: 'high' }] } })
  expect(parseScenario(GOOD, 'x.yaml').admission).toBeUndefined()
})

test.each([
  ['fleet: []', 'x.yaml:1: fleet: wants at least one row, for example { gpu: h100, count: 4 }'],
  [GOOD.replace('h100', 'h900'), /x\.yaml:3: fleet\[0\]\.gpu: .*"h100"/],
  [GOOD.replace('median: 100', 'median: -1'), /x\.yaml:6: workload\.prompt\.median: Too small/],
  [`${GOOD}telemetry: { lostShare: 1.5 }\n`, /x\.yaml:8: telemetry\.lostShare: Too big/],
  [`${GOOD}telemetrie: {}\n`, /x\.yaml:8: telemetrie: there is no such field; known are about, fleet,/],
  [`${GOOD}loads: []\n`, /x\.yaml:8: loads/],
  [
    `${GOOD}faults:\n  - { kind: crash, atSeconds: 1, lastingSeconds: 1, nodes: [3] }\n`,
    'x.yaml:9: faults[0].nodes: there is no server 3; they count from 0 to 2',
  ],
  [`${GOOD}faults:\n  - { kind: explode, atSeconds: 1, lastingSeconds: 1, nodes: [0] }\n`, /x\.yaml:9: faults\[0\]\.kind/],
  [GOOD.replace('count: 2', 'count: 10000'), 'x.yaml:3: fleet: 10001 servers, and 10000 are the most'],
  [`${GOOD}admission: { maxWaitMs: 0 }\n`, /x\.yaml:8: admission\.maxWaitMs: Too small/],
  [`${GOOD}admission: { maxWait: 1 }\n`, /x\.yaml:8: admission\.maxWait: there is no such field; known are concurrency, headroom/],
  [`${GOOD}admission:\n  concurrency: 4\n  headroom: 2\n`, /x\.yaml:10: admission\.headroom: goes with the capacities/],
  [
    `${GOOD}admission:\n  tenantKey: x-tenant\n  weights: { nobody: 2 }\n`,
    'x.yaml:10: admission.weights.nobody: is no tenant of the workload; there are all',
  ],
  [
    GOOD.replace('workload:', 'workload:\n  tenants: [{ name: a, share: 1, band: high }]'),
    'x.yaml:6: workload.tenants[0].band: wants one of admission.bands: there are none',
  ],
  ['{', /^x\.yaml: /],
])('nonsense is refused with its line and field: %#', (text, complaint) => {
  const full = text.startsWith('fleet: []')
    ? `${text}\nabout: x\nworkload:\n  prompt: { median: 1, max: 1 }\n  output: { median: 1, max: 1 }\n`
    : text
  expect(() => parseScenario(full, 'x.yaml')).toThrow(complaint)
})

test('every shipped scenario can be read', () => {
  const folder = new URL('../../scenarios/', import.meta.url)
  const files = globSync('*.yaml', { cwd: folder })
  expect(files.length).toBeGreaterThan(5)
  for (const file of files) expect(parseScenario(readFileSync(new URL(file, folder), 'utf8'), file).about).not.toBe('')
})
