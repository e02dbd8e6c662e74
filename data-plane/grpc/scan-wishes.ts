/** What the rows of models ask of a request's message beside its model: made when the rows change, and looked into by every scan. */
import { hashText } from '../../core/key-hash.ts'
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
  for (const { hashOn, adapterParameter } of models) {
    if (hashOn !== undefined && 'parameter' in hashOn) parameters.add(hashOn.parameter)
    if (adapterParameter !== undefined) parameters.add(adapterParameter)
  }
  const rows = new Map(models.map((row) => [row.name, row]))
  const prompts = new Map<string, PromptWish>()
  for (const row of models) {
    const wish = promptOf(row, rows)
    if (wish !== undefined) for (const name of [row.name, ...(row.aliases ?? [])]) prompts.set(name, wish)
  }
  return { parameters: [...parameters], prompts }
}

/** Of a model that is split the first part decides that asks for a prompt: it is looked at before it is known who gets the request. */
function promptOf(row: Model, rows: ReadonlyMap<string, Model>): PromptWish | undefined {
  const parts = (row.split ?? []).map(({ model }) => rows.get(model ?? row.name))
  const asking = [row, ...parts].find((one) => one?.policy === 'PREFIX')
  if (asking === undefined) return undefined
  const { name, prompt, adapterParameter } = asking
  return { seed: hashText(name), input: prompt === undefined ? undefined : utf8.encode(prompt.input), adapterParameter }
}

const utf8 = new TextEncoder()
