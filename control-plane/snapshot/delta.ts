/** Lays out the messages of the endpoints lane. An upsert's bytes are copied from its resource, never encoded again; a message stays below a bound. */
import { limits } from '../../core/limits.ts'
import { EndpointsDelta, type LoadUpdate } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import type { Resource } from './resource.ts'

/** `endpoints` of ConnectResponse: field 1, length-delimited. */
const ENDPOINTS_TAG = 0x0a

export type Delta = {
  readonly nonce: string /** What the answer to the nonce stands for. */
  readonly ids: readonly string[]
  readonly bytes: Uint8Array
}

export type DeltaParts = {
  readonly upserts: readonly Resource[]
  readonly removed: readonly string[]
  readonly loads: readonly LoadUpdate[]
}

/** At least one message, also of nothing: a proxy that is up to date is told so. Removals go with the last upserts, loads behind them. */
export function makeDeltas(parts: DeltaParts, snapshotVersion: string, nextNonce: () => string): readonly Delta[] {
  const chunks: Resource[][] = [[]]
  let size = 0
  for (const resource of parts.upserts) {
    if (size > 0 && size + resource.upsert.length > limits.deltaBytesMax) {
      chunks.push([])
      size = 0
    }
    chunks.at(-1)?.push(resource)
    size += resource.upsert.length
  }
  const loads = chunksOf(parts.loads)
  const last = chunks.length - 1
  return Array.from({ length: last + Math.max(loads.length, 1) }, (_, at) => {
    const chunk = chunks[at] ?? []
    const removed = at === last ? [...parts.removed] : []
    const nonce = nextNonce()
    const rest = EndpointsDelta.encode({ nonce, upserts: [], removed, loads: loads[at - last] ?? [], snapshotVersion })
    const ids = [...chunk.map((resource) => resource.endpoint.id), ...removed]
    return { nonce, ids, bytes: wrap([rest.finish(), ...chunk.map((resource) => resource.upsert)]) }
  })
}

/** Without a nonce: they want no answer. */
export const loadMessages = (loads: readonly LoadUpdate[], snapshotVersion: string): readonly Uint8Array[] =>
  chunksOf(loads).map((chunk) =>
    wrap([EndpointsDelta.encode({ nonce: '', upserts: [], removed: [], loads: chunk, snapshotVersion }).finish()]),
  )

/** A proxy reads a message in one turn of its event loop. */
function chunksOf(loads: readonly LoadUpdate[]): readonly LoadUpdate[][] {
  const chunks: LoadUpdate[][] = []
  for (let at = 0; at < loads.length; at += limits.loadsPerMessageMax) chunks.push(loads.slice(at, at + limits.loadsPerMessageMax))
  return chunks
}

function wrap(parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const head = [ENDPOINTS_TAG, ...varint(length)]
  const bytes = new Uint8Array(head.length + length)
  bytes.set(head)
  let at = head.length
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

function varint(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest & 0x7f) | 0x80)
  return [...bytes, rest]
}
