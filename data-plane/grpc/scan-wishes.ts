/** What the rows of models ask of a request's message beside its model: made when the rows change, and looked into by every scan. */
import type { Model } from '../../core/mesh-snapshot.ts'

export type ScanWishes = {
  /** Names of request parameters whose values are to be told as hashes. */
  readonly parameters: readonly string[]
}

export const NO_WISHES: ScanWishes = { parameters: [] }

export function wishesOf(models: readonly Model[]): ScanWishes {
  const parameters = new Set<string>()
  for (const { hashOn } of models) if (hashOn !== undefined && 'parameter' in hashOn) parameters.add(hashOn.parameter)
  return { parameters: [...parameters] }
}
