/**
 * Joins what several sources tell of the host's servers. An earlier source goes before a later one, so that a file which names a server twice, or at an
 * address that is taken, never disturbs what is served already. The rest is left out, and said.
 */
import { limits } from '../../core/limits.ts'
import { clashOf, type ServerSpec } from './server-spec.ts'

export type Told = { readonly from: string; readonly specs: readonly ServerSpec[] }
export type Merged = { readonly specs: readonly ServerSpec[]; readonly refused: readonly string[] }

export function mergeServers(sources: readonly Told[]): Merged {
  const specs: ServerSpec[] = []
  const refused: string[] = []
  for (const { from, specs: told } of sources)
    for (const spec of told) {
      const problem =
        specs.length >= limits.endpointsPerNodeMax
          ? `an agent watches ${limits.endpointsPerNodeMax} servers at most`
          : clashOf([...specs, spec])?.problem
      if (problem === undefined) specs.push(spec)
      else refused.push(`${from}: ${spec.name} is left out: ${problem}`)
    }
  return { specs, refused }
}
