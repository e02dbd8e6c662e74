import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import type { EndpointState, Panic } from '../../core/mesh-snapshot.ts'
import { millis } from '../../core/units.ts'
import { nextStepAt, slowStartFactor } from './slow-start.ts'
import { type Damping, usableCapacity, weigh } from './weigh.ts'

const gpus = (usable: number, total: number, factor = 1) => ({ usable, total, factor })
const NOW = millis(1_000_000)

test.each<[string, number | undefined, ReturnType<typeof gpus>, EndpointState, Panic | undefined, number]>([
  ['a plain one', undefined, gpus(0, 0), 'READY', undefined, 100],
  ['four GPUs', undefined, gpus(4, 4), 'READY', undefined, 400],
  ['three of four GPUs', undefined, gpus(3, 4), 'READY', undefined, 300],
  ['its GPUs are slow', undefined, gpus(4, 4, 0.7), 'READY', undefined, 280],
  ['its capacity is said', 16, gpus(4, 4), 'READY', undefined, 1_600],
  ['its capacity is said, half of its GPUs are gone', 16, gpus(2, 4), 'READY', undefined, 800],
  ['busy', undefined, gpus(1, 1), 'BUSY', undefined, 100],
  ['on probation', undefined, gpus(1, 1), 'PROBATION', undefined, 10],
  ['draining', undefined, gpus(1, 1), 'DRAINING', 'never', 0],
  ['draining out of caution', undefined, gpus(1, 1, 0.4), 'DRAINING', 'may', 40],
  ['starting', undefined, gpus(1, 1), 'STARTING', undefined, 0],
  ['failed', undefined, gpus(1, 1), 'FAILED', undefined, 0],
])('%s', (_name, capacity, share, state, panic, weight) => {
  const derived = panic === undefined ? { state } : { state, panic }
  const weighed = weigh({ capacity, gpus: share, derived, warmingSince: undefined }, undefined, NOW)
  expect(weighed.weight).toBe(weight)
  expect(Object.values(weighed.factors).reduce((product, factor) => product * factor, 1)).toBeCloseTo(weight)
})

test('a sequence of what is said of the GPUs, and the weights that proxies are told', () => {
  let damping: Damping | undefined
  const weightAt = (seconds: number, usable: number, speed: number): number => {
    const asked = { capacity: undefined, gpus: gpus(usable, 4, speed), derived: { state: 'READY' }, warmingSince: undefined } as const
    const weighed = weigh(asked, damping, millis(seconds * 1000))
    damping = weighed.damping
    return weighed.weight
  }
  const told = [
    [0, 4, 1],
    [1, 4, 0.98],
    [2, 3, 1],
    [3, 4, 1],
    [4, 3, 1],
    [13, 4, 1],
    [14, 4, 1],
    [15, 4, 0.4],
    [16, 4, 1],
    [25, 4, 1],
    [35, 4, 1],
    [45, 4, 1],
  ] as const
  expect(told.map(([at, usable, speed]) => weightAt(at, usable, speed))).toEqual([
    400, 400, 300, 300, 300, 300, 400, 160, 160, 260, 360, 400,
  ])
  expect(damping).toBeUndefined()
})

test('whoever was out of service has nothing to flutter: slow start does the rest', () => {
  const asked = { capacity: undefined, gpus: gpus(4, 4), warmingSince: undefined } as const
  const lost = weigh({ ...asked, gpus: gpus(1, 4), derived: { state: 'READY' } }, undefined, millis(0))
  expect(lost.weight).toBe(100)
  const failed = weigh({ ...asked, derived: { state: 'FAILED' } }, lost.damping, millis(1))
  expect(weigh({ ...asked, derived: { state: 'READY' } }, failed.damping, millis(2)).weight).toBe(400)
})

test('slow start climbs from the floor to the whole in few steps, each announced', () => {
  const since = millis(1_000)
  const seen = [slowStartFactor(since, since)]
  for (let at = nextStepAt(since, since); at !== undefined; at = nextStepAt(since, at)) seen.push(slowStartFactor(since, at))
  expect(seen).toHaveLength(limits.slowStartSteps + 1)
  expect(seen[0]).toBe(limits.slowStartFloor)
  expect(seen.at(-1)).toBe(1)
  expect(seen).toEqual([...seen].sort((a, b) => a - b))
  expect(slowStartFactor(since, millis(1_000 + limits.slowStart))).toBe(1)
  expect([slowStartFactor(undefined, since), nextStepAt(undefined, since)]).toEqual([1, undefined])
})

test.each([
  [64, gpus(4, 4), 64],
  [64, gpus(1, 4), 16],
  [1, gpus(1, 4), 1],
  [undefined, gpus(4, 4), 0],
])('capacity %s on %o is %s', (capacity, share, usable) => {
  expect(usableCapacity(capacity, share)).toBe(usable)
})
