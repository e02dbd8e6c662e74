/**
 * Which model a request means. A name may be another name of a model, and a model may share its requests out among its versions and other models.
 * Invariant: the same name, version and point mean the same target, whoever asks and however often. Rows come checked: no split leads back.
 */
import { assert } from '../../core/assert.ts'
import { mix } from '../../core/key-hash.ts'
import type { Model, SplitPart } from '../../core/mesh-snapshot.ts'

export type Target = {
  readonly model: string
  /** Empty: whichever the server takes. */
  readonly version: string
  readonly why: 'asked' | 'alias' | 'split' | 'fallback'
}

/** As endpoints name it. */
export const nameOf = ({ model, version }: Target): string => (version === '' ? model : `${model}@${version}`)

/** By every name that it goes by, each row that says whom its requests go to. Most meshes have none, and then nothing is looked up. */
export type TargetRules = ReadonlyMap<string, Model>

export const saysTargets = ({ aliases, split, fallbacks, shadow }: Pick<Model, 'aliases' | 'split' | 'fallbacks' | 'shadow'>): boolean =>
  aliases !== undefined || split !== undefined || fallbacks !== undefined || shadow !== undefined

export function targetRules(models: readonly Model[]): TargetRules {
  const rules = new Map<string, Model>()
  for (const row of models) {
    if (!saysTargets(row)) continue
    rules.set(row.name, row)
    for (const alias of row.aliases ?? []) rules.set(alias, row)
  }
  return rules
}

/** Where a key lies in [0, 1); endpoints are chosen by it too, and the two must not go together. */
export const pointOf = (key: number): number => mix(key ^ SPLITS) / 2 ** 32
const SPLITS = 0x5bd1e995

/** `point` in [0, 1) decides in splits. */
export function resolveModel(rules: TargetRules, model: string, version: string, point: number): Target {
  assert(point >= 0 && point < 1, 'a point lies in [0, 1)')
  let row = rules.get(model)
  if (row === undefined) return { model, version, why: 'asked' }
  let target: Target = { model: row.name, version, why: row.name === model ? 'asked' : 'alias' }
  while (row?.split !== undefined && target.version === '') {
    const { part, inner } = partAt(row.split, point)
    point = inner
    const next: Model | undefined = part.model === undefined ? row : rules.get(part.model)
    const last: boolean = next === row
    target = { model: next?.name ?? part.model ?? row.name, version: part.version ?? '', why: 'split' }
    row = last ? undefined : next
  }
  return target
}

/** All that a request for the model may come to mean at first. */
export function possibleTargets(rules: TargetRules, model: string, version: string): readonly Target[] {
  const row = rules.get(model)
  if (row === undefined) return [{ model, version, why: 'asked' }]
  if (row.split === undefined || version !== '') return [{ model: row.name, version, why: row.name === model ? 'asked' : 'alias' }]
  return row.split
    .filter(({ weight }) => weight > 0)
    .flatMap((part) => {
      const next = part.model === undefined ? row.name : part.model
      const last = rules.get(next) === row
      return last
        ? [{ model: row.name, version: part.version ?? '', why: 'split' as const }]
        : possibleTargets(rules, next, part.version ?? '')
    })
}

/** What is left of the draw within the part is as good a draw for the next split. */
function partAt(split: readonly SplitPart[], point: number): { readonly part: SplitPart; readonly inner: number } {
  let total = 0
  for (const { weight } of split) total += weight
  let left = point * total
  let chosen: SplitPart | undefined
  for (const part of split) {
    if (part.weight <= 0) continue
    chosen = part
    if (left < part.weight) return { part, inner: Math.min(left / part.weight, BELOW_ONE) }
    left -= part.weight
  }
  assert(chosen !== undefined, 'somebody has a weight')
  return { part: chosen, inner: BELOW_ONE }
}

/** Rounding may push a draw beyond the last part: it stays with it. */
const BELOW_ONE = 1 - Number.EPSILON
