import type { RepositoryIndexResponse, RepositoryIndexResponse_ModelIndex } from '../../proto/gen/inference/grpc_service.ts'

/** One row per model and version, in the order of first sight. A row that is READY on any server is READY. */
export function mergeIndexes(indexes: readonly RepositoryIndexResponse[]): RepositoryIndexResponse {
  const rows = new Map<string, RepositoryIndexResponse_ModelIndex>()
  for (const row of indexes.flatMap((index) => index.models)) {
    const key = JSON.stringify([row.name, row.version])
    if (!rows.has(key) || row.state === 'READY') rows.set(key, row)
  }
  return { models: [...rows.values()] }
}
