/** Plays cases of one target, seed after seed, until a bound is reached or one fails; a failing case comes back small. */
import { shrink } from './shrink.ts'
import { type Case, type Counts, draft, newCounts, play, type Target } from './target.ts'

export type Bounds = { readonly seed: number; readonly frames: number; readonly cases: number; readonly until: number }
export type Progress = Counts & { cases: number; seed: number }
export type Failure = { readonly found: Case; readonly small: Case; readonly error: Error; readonly smallError: Error }

/** Every case has a seed of its own, so that one number names it. */
export async function campaign(
  target: Target,
  bounds: Bounds,
  clock: () => number,
  onProgress: (progress: Progress) => void = () => {},
): Promise<{ readonly progress: Progress; readonly failure: Failure | undefined }> {
  const progress: Progress = { ...newCounts(), cases: 0, seed: bounds.seed }
  while (progress.frames < bounds.frames && progress.cases < bounds.cases && clock() < bounds.until) {
    const found = draft(target, progress.seed)
    const error = await play(target, found, progress)
    progress.cases++
    if (error !== undefined) return { progress, failure: await reduce(target, found, error) }
    progress.seed++
    onProgress(progress)
  }
  return { progress, failure: undefined }
}

async function reduce(target: Target, found: Case, error: Error): Promise<Failure> {
  let smallError = error
  const steps = await shrink(found.steps, async (some) => {
    const again = await play(target, { ...found, steps: some }, newCounts())
    if (again !== undefined) smallError = again
    return again !== undefined
  })
  return { found, small: { ...found, steps }, error, smallError }
}
