/** A part of what `npm run fuzz` plays, with the same seeds at each run; and that a broken engine would be found. */
import { expect, test } from 'vitest'
import { campaign } from './campaign.ts'
import { shrink } from './shrink.ts'
import type { Step } from './target.ts'
import { TARGETS } from './targets.ts'

const SEED = 1_000_000
/** Of each target; about five seconds of one core. */
const SHARE = { frames: 100_000, milliseconds: 8_000 }

test.each(TARGETS.map((target) => [target.name, target] as const))(
  '%s: whatever random cases do, what must hold does',
  async (_name, target) => {
    const startedAt = performance.now()
    const bounds = { seed: SEED, frames: SHARE.frames, cases: Number.POSITIVE_INFINITY, until: startedAt + SHARE.milliseconds }
    const { progress, failure } = await campaign(target, bounds, () => performance.now())
    const seconds = (performance.now() - startedAt) / 1_000
    const { cases, frames, streams, violations } = progress
    console.log(
      `${target.name}: ${cases} cases, ${frames} frames (${Math.round(frames / seconds)}/s), ${streams} streams, ${violations} breaches answered`,
    )
    expect(failure === undefined ? 'holds' : `${failure.smallError.message}: ${JSON.stringify(failure.small)}`).toBe('holds')
    expect(cases).toBeGreaterThan(0)
  },
)

test('a failing case is shrunk to the steps that it needs', async () => {
  const steps = Array.from({ length: 100 }, (_, i): Step => [`move-${i}`, i])
  const needs = ['move-7', 'move-41', 'move-97']
  const small = await shrink(steps, async (some) => needs.every((name) => some.some(([move]) => move === name)))
  expect(small.map(([move]) => move)).toEqual(needs)
})
