/** Reads what another control plane tells, once, at the door. Whatever is not such a message, or beyond its bounds, is undefined. */
import { limits } from '../../core/limits.ts'
import { SharedOutcomes } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import type { Shared, SharedNews } from './replicas.ts'

export function parseShared(bytes: Uint8Array): Shared | undefined {
  if (bytes.length > limits.sharedBytesMax) return undefined
  let shared: SharedOutcomes
  try {
    shared = SharedOutcomes.decode(bytes)
  } catch {
    return undefined
  }
  const { replicaId, sequence, proxyId, stream, news } = shared
  if (replicaId === '' || replicaId.length > limits.reportTextMax || proxyId.length > limits.reportTextMax) return undefined
  if (sequence === 0n || stream > Number.MAX_SAFE_INTEGER) return undefined
  if (news === undefined) return proxyId === '' ? { replicaId, sequence, news: { kind: 'alive' } } : undefined
  if (proxyId === '' || stream === 0n) return undefined
  const of = { proxyId, stream: Number(stream) }
  const told: SharedNews = news.$case === 'report' ? { ...of, kind: 'report', report: news.value } : { ...of, kind: news.$case }
  return { replicaId, sequence, news: told }
}
