import { expect, test } from 'vitest'
import { Run } from '../run.ts'
import type { Scenario } from '../scenario/scenario.ts'
import { batchCapacity, slotCapacity } from './capacity.ts'
import { GPU_RULES } from './gpu-kinds.ts'
import { slotRules } from './slot-server.ts'

test('a server with slots: 4 at once, 20 ms and nine times 10 ms each, are 36 a second', () => {
  expect(slotCapacity(slotRules(4, 10, 20, 10, 0), { promptTokens: 1, outputTokens: 10, outputSquared: 100 })).toBeCloseTo(36.36, 1)
})

test('a batch is bounded by its memory as well as by its slots', () => {
  const rules = GPU_RULES.l40s
  const small = batchCapacity(rules, { promptTokens: 100, outputTokens: 100, outputSquared: 10_000 })
  const large = batchCapacity(rules, { promptTokens: 20_000, outputTokens: 100, outputSquared: 10_000 })
  expect(large).toBeLessThan(small / 5)
})

test('what is computed is what a server does when it always has something to do', () => {
  const scenario: Scenario = {
    name: 'full',
    about: '',
    servers: [{ kind: 'batch', rules: { ...GPU_RULES.a100, queueMax: 16 } }],
    workload: {
      prompt: { median: 400, sigma: 0.8, max: 8_000 },
      output: { median: 100, sigma: 0.8, max: 1_000 },
      tenants: [{ name: 'all', share: 1 }],
    },
    telemetry: { delayMs: 2, jitterMs: 3, lostShare: 0 },
    faults: [],
    proxies: 1,
    warmUpSeconds: 30,
    seconds: 150,
    loads: [1],
    ttftGoalMs: 1_000_000,
    patienceSeconds: 10_000,
  }
  const done = (load: number) =>
    new Run(scenario, { load, seed: 1, chooser: () => ({ kind: 'policy', name: 'LEAST_WAIT' }) }).play().measures
  expect(done(0.8).refused).toBe(0)
  // At 1.5 it always has something to do, and refuses the rest: what it does is its capacity.
  const { requests, refused } = done(1.5)
  expect((1.5 * (requests - refused)) / requests).toBeCloseTo(1, 1)
})
