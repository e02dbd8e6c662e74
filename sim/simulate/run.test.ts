import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { CHOOSERS, type ChooserName, chooserOf } from './choosers.ts'
import { Run } from './run.ts'
import { capacityPerSecond } from './scenario/fleet-capacity.ts'
import { parseScenario } from './scenario/read-scenario.ts'
import type { Fault, Scenario } from './scenario/scenario.ts'
import { GPU_RULES } from './servers/gpu-kinds.ts'
import { slotRules } from './servers/slot-server.ts'

const SMALL: Scenario = {
  name: 'small',
  about: '',
  servers: [
    { kind: 'batch', rules: GPU_RULES.h100 },
    { kind: 'batch', rules: GPU_RULES.a100 },
    { kind: 'batch', rules: GPU_RULES.l40s },
  ],
  workload: {
    prompt: { median: 400, sigma: 0.8, max: 4_000 },
    output: { median: 80, sigma: 0.8, max: 1_000 },
    sessions: { turns: 3, live: 40, systemPrompts: 4, systemTokens: 160 },
    tenants: [{ name: 'all', share: 1 }],
  },
  telemetry: { delayMs: 2, jitterMs: 3, lostShare: 0.05 },
  faults: [],
  proxies: 2,
  warmUpSeconds: 5,
  seconds: 20,
  loads: [0.7],
  ttftGoalMs: 1_000,
  patienceSeconds: 20,
}

/** Every charge is added up after each moment. */
const played = (scenario: Scenario, name: ChooserName, load = 0.7, seed = 1) =>
  new Run(scenario, { load, seed, chooser: () => chooserOf(name), checkEvery: 1 }).play()

test('the same seed plays the same run, to the last digit; another seed another one', () => {
  expect(played(SMALL, 'LEAST_WAIT')).toEqual(played(SMALL, 'LEAST_WAIT'))
  expect(played(SMALL, 'LEAST_WAIT', 0.7, 2)).not.toEqual(played(SMALL, 'LEAST_WAIT'))
})

const EVERYTHING_WRONG: Scenario = {
  ...SMALL,
  faults: (['crash', 'hang', 'slow', 'fail-fast', 'lie-idle', 'throttle-flap'] as const).map(
    (kind, at): Fault => ({ kind, atSeconds: 3 * at, lastingSeconds: 4, nodes: [at % 3], factor: 3 }),
  ),
  warmUpSeconds: 1,
  seconds: 18,
}

test.each(CHOOSERS)('%s plays a fleet in which everything goes wrong, and every account adds up at every step', (name) => {
  const { measures } = played(EVERYTHING_WRONG, name, 0.9)
  expect(measures.requests).toBeGreaterThan(100)
})

test('below its capacity a fleet answers everybody', () => {
  expect(played({ ...SMALL, patienceSeconds: 120 }, 'LEAST_WAIT').measures).toMatchObject({ refused: 0, failed: 0, late: 0 })
})

describe('what goes wrong', () => {
  const fault = (kind: Fault['kind'], lastingSeconds = 10): Scenario => ({
    ...SMALL,
    faults: [{ kind, atSeconds: 5, lastingSeconds, nodes: [1], factor: 4 }],
  })

  test('a crash costs no request that was promised nothing yet', () => {
    const { measures } = played(fault('crash'), 'LEAST_WAIT', 0.5)
    // Those that were being answered are lost with their server, and only those.
    expect(measures.failed).toBeGreaterThan(0)
    expect(measures.failed).toBeLessThan(GPU_RULES.a100.slots + 1)
    expect(measures.refused).toBe(0)
  })

  test('a server that hangs holds requests until its agent says so, and none comes after that', () => {
    const { measures } = played({ ...fault('hang', 30), patienceSeconds: 5 }, 'LEAST_WAIT', 0.5)
    expect(measures.late).toBeGreaterThan(0)
    expect(measures.late).toBeLessThan(measures.requests / 4)
  })

  test('a flapping signal moves a weight at most twelve times a minute', () => {
    const { weightChangesPerMinute } = played({ ...fault('throttle-flap', 120), seconds: 120 }, 'LEAST_REQUEST', 0.3)
    // A rise waits out its dwell, and between two rises lies one fall at most.
    expect(weightChangesPerMinute).toBeGreaterThan(0)
    expect(weightChangesPerMinute).toBeLessThanOrEqual((2 * 60_000) / limits.weightRiseDwell)
  })
})

describe('more than the fleet can do', () => {
  const without: Scenario = { ...SMALL, workload: { ...SMALL.workload, sessions: undefined }, warmUpSeconds: 15, seconds: 40 }
  const queued: Scenario = { ...without, admission: { maxWaitMs: 400 } }

  test('is refused in time by the queues of proxies, and nearly as many are answered well as could be at best', () => {
    const [alone, behind] = [played(without, 'LEAST_WAIT', 1.3).measures, played(queued, 'LEAST_WAIT', 1.3).measures]
    expect(alone.goodPerSecond, 'all wait in the servers').toBeLessThan(1)
    expect(behind.goodPerSecond).toBeGreaterThan(0.85 * capacityPerSecond(queued))
    expect(behind.ttftMs?.p99).toBeLessThan(2_000)
    expect(behind.late, 'nobody waits until he gives up, but in the midst of a long answer').toBeLessThan(alone.late)
    const { refused, refusals } = behind
    expect(refused).toBeGreaterThan(0.1 * behind.requests)
    expect(Object.values(refusals).reduce((sum, count) => sum + count, 0)).toBe(refused)
    expect(refusals).toEqual({ 'queue-timeout': refused })
  })

  test('is refused at once where nobody may wait, and never waits beyond the bound', () => {
    expect(Object.keys(played({ ...queued, admission: { queueMax: 0 } }, 'LEAST_WAIT', 1.3).measures.refusals)).toEqual(['queue-full'])
    const { refusals } = played({ ...queued, admission: { queueMax: 4, maxWaitMs: 400 } }, 'LEAST_WAIT', 1.5).measures
    expect(refusals).toMatchObject({ 'queue-full': expect.any(Number), 'queue-timeout': expect.any(Number) })
  })

  test('costs those of the lower band, and of a band those who ask for more than their share', () => {
    const tenants = [
      { name: 'first', share: 1, band: 'high' },
      { name: 'modest', share: 1 },
      { name: 'greedy', share: 6 },
    ]
    const admission = { maxWaitMs: 400, priorityKey: 'x-band', bands: ['high', 'low'], tenantKey: 'x-tenant' }
    const scenario: Scenario = { ...without, proxies: 1, workload: { ...without.workload, tenants }, admission }
    const [first, modest, greedy] = new Run(scenario, { load: 1.5, seed: 1, chooser: () => chooserOf('LEAST_WAIT') })
      .play()
      .byTenant.map(({ refused, requests }) => refused / requests)
    expect(first).toBeLessThan(0.03)
    expect(modest).toBeLessThan(0.05)
    expect(greedy).toBeGreaterThan(0.3)
  })

  test.each(['LEAST_WAIT', 'epp'] as const)('%s keeps every account also while everything goes wrong behind a queue', (name) => {
    const { measures } = played({ ...EVERYTHING_WRONG, admission: { maxWaitMs: 300, queueMax: 30 } }, name, 1.4)
    expect(measures.refused).toBeGreaterThan(0)
  })

  test('at half load the queue is not noticed', () => {
    const { refusals, ...queuedMeasures } = played(queued, 'LEAST_WAIT', 0.5).measures
    expect(refusals).toEqual({})
    expect(queuedMeasures).toEqual(expect.objectContaining({ refused: 0, failed: 0 }))
  })
})

test('late, lost and lying reports leave LEAST_WAIT no tenth behind LEAST_REQUEST, which hears none', () => {
  const file = fileURLToPath(new URL('../scenarios/bad-signals.yaml', import.meta.url))
  const scenario = { ...parseScenario(readFileSync(file, 'utf8'), file), seconds: 120 }
  const p99 = (policy: ChooserName, seed: number): number =>
    new Run(scenario, { load: 0.9, seed, chooser: () => chooserOf(policy) }).play().measures.ttftMs?.p99 ?? Number.NaN
  for (const seed of [1, 2, 3]) expect(p99('LEAST_WAIT', seed) / p99('LEAST_REQUEST', seed), `seed ${seed}`).toBeLessThan(1.1)
})

test('servers with slots run the queue of the model server', () => {
  const servers = [1, 2, 3].map(() => ({ kind: 'slots', rules: slotRules(4, 100, 20, 10, 0) }) as const)
  const { measures } = played(
    { ...SMALL, servers, workload: { ...SMALL.workload, output: { median: 10, sigma: 0, max: 10 } } },
    'LEAST_WAIT',
    0.2,
  )
  expect(measures.ttftMs?.p50).toBeCloseTo(20)
  expect(measures.latencyMs?.p50).toBeCloseTo(110)
})
