/** Asks nvidia-smi for what its rows do not tell: the XML, and the names of MIG instances where there are any. */
import { LIST_ARGUMENTS, parseList } from '../gpu/parse-list.ts'
import { type Details, readDetails, withMigNames } from '../gpu/read-details.ts'
import type { SmiAsker } from './ask-nvidia-smi.ts'
import { parseLog } from './parse-xml.ts'

export type DetailsAnswer = { readonly kind: 'details'; readonly details: Details } | { readonly kind: 'nothing'; readonly reason: string }

export async function askDetails(asker: SmiAsker): Promise<DetailsAnswer> {
  const answer = await asker.ask(['-q', '-x'])
  if (answer.kind === 'nothing') return answer
  const log = parseLog(answer.text)
  if (log === undefined) return { kind: 'nothing', reason: 'nvidia-smi -q -x prints no whole log' }
  const details = readDetails(log)
  const sliced = [...details.values()].some(({ migInstances }) => migInstances.some(({ uuid }) => uuid === ''))
  const list = sliced ? await asker.ask(LIST_ARGUMENTS) : undefined
  return { kind: 'details', details: list?.kind === 'said' ? withMigNames(details, parseList(list.text)) : details }
}
