import { describe, expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { CHOOSERS, type ChooserName, chooserOf } from './choosers.ts'
import { Run } from './run.ts'
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

test.each(CHOOSERS)('%s plays a fleet in which everything goes wrong, and every account adds up at every step', (name) => {
  const kinds = ['crash', 'hang', 'slow', 'fail-fast', 'lie-idle', 'throttle-flap'] as const
  const faults = kinds.map((kind, at): Fault => ({ kind, atSeconds: 3 * at, lastingSeconds: 4, nodes: [at % 3], factor: 3 }))
  const { measures } = played({ ...SMALL, faults, warmUpSeconds: 1, seconds: 18 }, name, 0.9)
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
