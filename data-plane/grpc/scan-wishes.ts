/** What the rows of models ask of a request's message beside its model: made when the rows change, and looked into by every scan. */
import type { Model } from '../../core/mesh-snapshot.ts'
import type { PromptWish } from './prompt-scanner.ts'

export type ScanWishes = {
  /** Names of request parameters whose values are to be told as hashes. */
  readonly parameters: readonly string[]
  /** By model: where the prompt is that chooses the endpoint. */
  readonly prompts: ReadonlyMap<string, PromptWish>
}

export const NO_WISHES: ScanWishes = { parameters: [], prompts: new Map() }

export function wishesOf(models: readonly Model[]): ScanWishes {
  const parameters = new Set<string>()
  for (const { hashOn } of models) if (hashOn !== undefined && 'parameter' in hashOn) parameters.add(hashOn.parameter)
  const prompts = new Map<string, PromptWish>()
  for (const { name, policy, prompt } of models)
    if (policy === 'PREFIX') prompts.set(name, { input: prompt === undefined ? undefined : utf8.encode(prompt.input) })
  return { parameters: [...parameters], prompts }
}

const utf8 = new TextEncoder()
