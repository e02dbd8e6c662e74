import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { HeldLoads } from './held-loads.ts'

/** Ages, in ms, of what was told at 0 with an age of 10, as it is at 5,000. */
function ages(what: {
  readonly holdsAt?: readonly number[]
  readonly by?: number
  readonly teller?: number
  readonly fresh?: boolean
}): number {
  let now = 0
  const loads = new HeldLoads(() => now)
  loads.put({ id: 'a', load: { queueDepth: 1 }, ageMs: 10, teller: what.teller ?? 1 })
  for (now of what.holdsAt ?? []) loads.hold(what.by ?? 1)
  now = 5_000
  return loads.row('a', what.fresh ?? true).ageMs
}

test.each([
  ['while the stream lives and says so, a load that did not move is as good as new', { holdsAt: [1_000, 2_000, 3_000, 4_000] }, 1_000],
  ['when the stream is lost, it ages from the last word', { holdsAt: [1_000, 2_000] }, 3_000],
  ['a control plane that hangs says nothing: it ages', {}, 5_010],
  ['of an endpoint that is silent the word says nothing', { holdsAt: [4_900], fresh: false }, 5_010],
  ['the word of another stream says nothing of it', { holdsAt: [4_900], by: 2 }, 5_010],
  ['one that always ages does', { holdsAt: [4_900], teller: 0 }, 5_010],
])('%s', (_what, history, age) => {
  expect(ages(history)).toBe(age)
})

test('a load that was told behind the last word is no older than itself', () => {
  let now = 0
  const loads = new HeldLoads(() => now)
  loads.hold(1)
  now = 900
  loads.put({ id: 'a', load: { queueDepth: 1 }, ageMs: 20, teller: 1 })
  now = 1_000
  expect([loads.row('a', true).ageMs, loads.held()]).toEqual([120, { teller: 1, ageMs: 1_000 }])
})

test('what is forgotten is unknown', () => {
  const loads = new HeldLoads(() => limits.loadAgeMax)
  loads.put({ id: 'a', load: { queueDepth: 1 }, ageMs: 0, teller: 1 })
  expect([loads.forget('a'), loads.forget('a'), loads.row('a', true).load]).toEqual([true, false, undefined])
})
