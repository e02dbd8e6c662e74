import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import type { Liveness } from '../fleet/liveness.ts'
import { endpoint } from '../testing/reports.ts'
import { nextStepAt, slowStartFactor } from './slow-start.ts'
import { usableCapacity, weigh } from './weigh.ts'

const READY: Liveness = { state: 'ready' }
const gpus = (usable: number, total: number) => ({ usable, total, reason: '' })

test.each([
  ['a plain one', undefined, gpus(0, 0), READY, 'READY', 100],
  ['four GPUs', undefined, gpus(4, 4), READY, 'READY', 400],
  ['three of four GPUs', undefined, gpus(3, 4), READY, 'READY', 300],
  ['its capacity is said', 16, gpus(4, 4), READY, 'READY', 1_600],
  ['its capacity is said, half of its GPUs are gone', 16, gpus(2, 4), READY, 'READY', 800],
  ['on probation', undefined, gpus(1, 1), { state: 'probation', passed: 1 } as Liveness, 'PROBATION', 10],
  ['draining', undefined, gpus(1, 1), READY, 'DRAINING', 0],
  ['failed', undefined, gpus(1, 1), { state: 'failed', reason: '' } as Liveness, 'FAILED', 0],
] as const)('%s', (_name, capacity, share, liveness, state, weight) => {
  const weighed = weigh({ report: endpoint('a', { capacity }), gpus: share, liveness }, state, millis(0))
  expect(weighed.weight).toBe(weight)
  expect(Object.values(weighed.factors).reduce((product, factor) => product * factor, 1)).toBeCloseTo(weight)
})

test('slow start climbs from the floor to the whole in few steps, each announced', () => {
  const liveness: Liveness = { state: 'ready', warmingSince: millis(1_000) }
  const seen = [slowStartFactor(liveness, millis(1_000))]
  for (let at = nextStepAt(liveness, millis(1_000)); at !== undefined; at = nextStepAt(liveness, at))
    seen.push(slowStartFactor(liveness, at))
  expect(seen).toHaveLength(limits.slowStartSteps + 1)
  expect(seen[0]).toBe(limits.slowStartFloor)
  expect(seen.at(-1)).toBe(1)
  expect(seen).toEqual([...seen].sort((a, b) => a - b))
  expect(slowStartFactor(liveness, millis(1_000 + limits.slowStart))).toBe(1)
})

test.each([
  [64, gpus(4, 4), 64],
  [64, gpus(1, 4), 16],
  [1, gpus(1, 4), 1],
  [undefined, gpus(4, 4), 0],
])('capacity %s on %o is %s', (capacity, share, usable) => {
  expect(usableCapacity({ report: endpoint('a', { capacity }), gpus: share, liveness: READY })).toBe(usable)
})
