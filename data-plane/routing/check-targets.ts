/** Whether rows can be followed: each name means one row, each target is a model that somebody names, and no split leads back to where it began. */
import type { Endpoint, Model } from '../../core/mesh-snapshot.ts'
import { saysTargets } from './resolve-model.ts'
import { servedModel } from './served-model.ts'

export type TargetProblem = { readonly path: readonly (string | number)[]; readonly message: string }

type Rows = readonly Pick<Model, 'name' | 'aliases' | 'split' | 'fallbacks' | 'shadow'>[]

/** What only `*` would cover is named by nobody, so that a slip of the pen shows. */
export function targetProblem(rows: Rows, endpoints: readonly Pick<Endpoint, 'models'>[]): TargetProblem | undefined {
  const twice = rows.findIndex(({ name }, at) => at > 0 && rows.findIndex((row) => row.name === name) < at)
  if (twice >= 0) return { path: ['models', twice, 'name'], message: `a row for ${quoted(rows[twice]?.name ?? '')} stands above already` }
  if (!rows.some(saysTargets)) return undefined
  const names = new Map(rows.map((row) => [row.name, row.name]))
  const wrongAlias = aliasProblem(rows, names)
  if (wrongAlias !== undefined) return wrongAlias
  const known = new Set(names.keys())
  for (const { models } of endpoints) for (const entry of models) known.add(servedModel(entry).model)
  return strangerProblem(rows, known, names) ?? circleProblem(rows, names)
}

/** Fills `names` with what each alias means. */
function aliasProblem(rows: Rows, names: Map<string, string>): TargetProblem | undefined {
  for (const [at, { name, aliases }] of rows.entries())
    for (const [index, alias] of (aliases ?? []).entries()) {
      const path = ['models', at, 'aliases', index]
      const taken = names.get(alias)
      if (taken === alias) return { path, message: `${quoted(alias)} is the name of a row: an alias is no model's own name` }
      if (taken !== undefined) return { path, message: `${quoted(alias)} is an alias of ${quoted(taken)} already` }
      names.set(alias, name)
    }
  return undefined
}

function strangerProblem(rows: Rows, known: ReadonlySet<string>, names: ReadonlyMap<string, string>): TargetProblem | undefined {
  for (const [at, { name, split, fallbacks, shadow }] of rows.entries()) {
    const stranger = (model: string, ...field: (string | number)[]): TargetProblem | undefined =>
      known.has(model)
        ? undefined
        : {
            path: ['models', at, ...field],
            message: `no row and no endpoint names a model ${quoted(model)}: add a row { "name": ${quoted(model)} }`,
          }
    for (const [index, { model }] of (split ?? []).entries()) {
      const problem = model === undefined ? undefined : stranger(model, 'split', index, 'model')
      if (problem !== undefined) return problem
    }
    for (const [index, model] of (fallbacks ?? []).entries()) {
      if (names.get(model) === name)
        return { path: ['models', at, 'fallbacks', index], message: `${quoted(name)} cannot stand in for itself` }
      const problem = stranger(model, 'fallbacks', index)
      if (problem !== undefined) return problem
    }
    if (shadow === undefined) continue
    if (names.get(shadow.model) === name && shadow.version === undefined)
      return {
        path: ['models', at, 'shadow', 'model'],
        message: `${quoted(name)} cannot be its own shadow: name a version, or another model`,
      }
    const problem = stranger(shadow.model, 'shadow', 'model')
    if (problem !== undefined) return problem
  }
  return undefined
}

function circleProblem(rows: Rows, names: ReadonlyMap<string, string>): TargetProblem | undefined {
  const byName = new Map(rows.map((row, at) => [row.name, { row, at }]))
  const done = new Set<string>()
  const walk = (name: string, trail: readonly string[]): TargetProblem | undefined => {
    const found = byName.get(name)
    if (found === undefined || done.has(name)) return undefined
    for (const [index, { model, version }] of (found.row.split ?? []).entries()) {
      // Its own model's share stays; a request for a version is split no further.
      const next = model === undefined ? undefined : (names.get(model) ?? model)
      if (next === undefined || next === name || version !== undefined) continue
      const path = ['models', found.at, 'split', index, 'model']
      if (trail.includes(next)) return { path, message: `the split leads back: ${[...trail.slice(trail.indexOf(next)), next].join(' → ')}` }
      const problem = walk(next, [...trail, next])
      if (problem !== undefined) return problem
    }
    done.add(name)
    return undefined
  }
  for (const { name } of rows) {
    const problem = walk(name, [name])
    if (problem !== undefined) return problem
  }
  return undefined
}

const quoted = (name: string): string => JSON.stringify(name)
