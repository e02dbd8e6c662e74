/** Makes a failing case small: leaves out runs of steps, long ones first, as long as what is left still fails. */
import type { Step } from './target.ts'

/** Whoever waits for a small case does not wait for ever. */
const TRIES_MAX = 2_000

export async function shrink(steps: readonly Step[], fails: (steps: readonly Step[]) => Promise<boolean>): Promise<readonly Step[]> {
  let best = steps
  let tries = 0
  for (let run = Math.ceil(best.length / 2); run >= 1 && tries < TRIES_MAX; ) {
    let shorter = false
    for (let at = best.length - run; at > -run && tries < TRIES_MAX; at -= run) {
      const from = Math.max(at, 0)
      const without = [...best.slice(0, from), ...best.slice(at + run)]
      tries++
      if (!(await fails(without))) continue
      best = without
      shorter = true
    }
    if (run === 1 && !shorter) break
    run = run === 1 ? 1 : Math.ceil(run / 2)
  }
  return best
}
