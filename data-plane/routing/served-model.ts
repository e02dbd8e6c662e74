/** What one entry of an endpoint's `models` says: `name` serves every version of the model, `name@version` that one. */

export type ServedModel = { readonly model: string; readonly version: string | undefined }

export const namesVersion = (entry: string): boolean => servedModel(entry).version !== undefined

/** An endpoint's models with the versions that it serves of each; none stands for all of them. */
export function servedModels(entries: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const models = new Map<string, string[]>()
  for (const entry of entries) {
    const { model, version } = servedModel(entry)
    const versions = models.get(model)
    if (versions === undefined) models.set(model, version === undefined ? [] : [version])
    else if (version === undefined) versions.length = 0
    else if (versions.length > 0 && !versions.includes(version)) versions.push(version)
  }
  return models
}

export function servedModel(entry: string): ServedModel {
  const at = entry.lastIndexOf('@')
  if (at <= 0 || at === entry.length - 1) return { model: entry, version: undefined }
  return { model: entry.slice(0, at), version: entry.slice(at + 1) }
}
