/** Lays out the messages of the endpoints lane. Bytes are copied from resources and loads, never encoded again; a message stays below a bound. */
import { limits } from '../../core/limits.ts'
import { EndpointsDelta } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import { joined } from './load-batch.ts'
import { writeVarint } from './load-row.ts'
import type { Resource } from './resource.ts'

/** `endpoints` of ConnectResponse: field 1, length-delimited. */
const ENDPOINTS_TAG = 0x0a
const TAG_BYTES_MAX = 11

export type Delta = {
  readonly nonce: string /** What the answer to the nonce stands for. */
  readonly ids: readonly string[]
  readonly bytes: Uint8Array
}

export type DeltaParts = {
  readonly upserts: readonly Resource[]
  readonly removed: readonly string[]
  /** Of a LoadBatch: each goes in a message of its own. */
  readonly loads: readonly Uint8Array[]
  /** Said with the last message: what it lacks of loads, it has then. */
  readonly hold?: boolean
}

/** At least one message, also of nothing: a proxy that is up to date is told so. Removals go with the last upserts, loads behind them. */
export function makeDeltas(
  { upserts, removed, loads, hold = false }: DeltaParts,
  snapshotVersion: string,
  nextNonce: () => string,
): readonly Delta[] {
  const chunks: Resource[][] = [[]]
  let size = 0
  for (const resource of upserts) {
    if (size > 0 && size + resource.upsert.length > limits.deltaBytesMax) {
      chunks.push([])
      size = 0
    }
    chunks.at(-1)?.push(resource)
    size += resource.upsert.length
  }
  const last = chunks.length - 1
  const count = last + Math.max(loads.length, 1)
  return Array.from({ length: count }, (_, at) => {
    const chunk = chunks[at] ?? []
    const gone = at === last ? removed : []
    const nonce = nextNonce()
    const ids = [...chunk.map((resource) => resource.endpoint.id), ...gone]
    const rest = [...chunk.map((resource) => resource.upsert), loads[at - last] ?? NOTHING]
    return {
      nonce,
      ids,
      bytes: wrap([encode({ nonce, removed: [...gone], snapshotVersion, loadsHold: hold && at === count - 1 }), ...rest]),
    }
  })
}

/** `anew`: what was told before is not kept up any more; said also when there is nothing to tell instead. `hold`: with the last message. */
export type LoadWords = { readonly anew?: boolean; readonly hold?: boolean }

/** Without a nonce: they want no answer. */
export function loadMessages(loads: readonly Uint8Array[], snapshotVersion: string, words: LoadWords = {}): readonly Uint8Array[] {
  const { anew = false, hold = false } = words
  const chunks = anew && loads.length === 0 ? [NOTHING] : loads
  return chunks.map((chunk, at) =>
    wrap([encode({ snapshotVersion, loadsAnew: anew && at === 0, loadsHold: hold && at === chunks.length - 1 }), chunk]),
  )
}

export const tellThatLoadsHold = (snapshotVersion: string): Uint8Array => wrap([encode({ snapshotVersion, loadsHold: true })])

const NOTHING = new Uint8Array(0)

const encode = (fields: Partial<EndpointsDelta>): Uint8Array => EndpointsDelta.encode(EndpointsDelta.fromPartial(fields)).finish()

function wrap(parts: readonly Uint8Array[]): Uint8Array {
  const tag = new Uint8Array(TAG_BYTES_MAX)
  tag[0] = ENDPOINTS_TAG
  const end = writeVarint(
    tag,
    1,
    parts.reduce((sum, part) => sum + part.length, 0),
  )
  return joined([tag.subarray(0, end), ...parts])
}
