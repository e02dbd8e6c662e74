/** Asks nvidia-smi which processes compute on which GPU. */
import { COMPUTE_APPS_ARGUMENTS, type ComputeApp, parseComputeApps } from '../gpu/parse-compute-apps.ts'
import type { SmiAsker } from './ask-nvidia-smi.ts'

export type ComputeApps =
  | { readonly kind: 'apps'; readonly apps: readonly ComputeApp[] }
  /** In words. */
  | { readonly kind: 'nothing'; readonly reason: string }

export async function askComputeApps(asker: SmiAsker): Promise<ComputeApps> {
  const answer = await asker.ask(COMPUTE_APPS_ARGUMENTS)
  if (answer.kind === 'nothing') return answer
  const apps = parseComputeApps(answer.text)
  if (apps !== undefined) return { kind: 'apps', apps }
  return { kind: 'nothing', reason: `nvidia-smi does not tell of processes: ${answer.text.trim().split('\n')[0]?.slice(0, 200) ?? ''}` }
}
