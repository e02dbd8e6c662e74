/** The loads of one round, encoded once however many proxies hear of them: a proxy's message is made of the pieces of its buckets. */
import { limits } from '../../core/limits.ts'
import { EndpointsDelta, type LoadUpdate } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import { BUCKETS, bucketOf } from './load-share.ts'

type Piece = { readonly rows: number; readonly bytes: Uint8Array }

export class LoadBatch {
  readonly size: number
  readonly #buckets: readonly (readonly LoadUpdate[])[]
  readonly #pieces: (readonly Piece[] | undefined)[] = []
  #all: readonly Uint8Array[] | undefined

  constructor(updates: readonly LoadUpdate[]) {
    this.size = updates.length
    const buckets: LoadUpdate[][] = Array.from({ length: BUCKETS }, () => [])
    for (const update of updates) buckets[bucketOf(update.endpointId)]?.push(update)
    this.#buckets = buckets
  }

  /** Field `loads` of EndpointsDelta, in so many chunks that a proxy reads each in a short turn. */
  all(): readonly Uint8Array[] {
    this.#all ??= chunksOf(this.#buckets.flatMap((_, bucket) => this.#piecesOf(bucket)))
    return this.#all
  }

  of(buckets: readonly number[]): readonly Uint8Array[] {
    return buckets.length === BUCKETS ? this.all() : chunksOf(buckets.flatMap((bucket) => this.#piecesOf(bucket)))
  }

  #piecesOf(bucket: number): readonly Piece[] {
    const known = this.#pieces[bucket]
    if (known !== undefined) return known
    const rows = this.#buckets[bucket] ?? []
    const pieces: Piece[] = []
    for (let at = 0; at < rows.length; at += limits.loadsPerMessageMax) {
      const loads = rows.slice(at, at + limits.loadsPerMessageMax)
      const bytes = EndpointsDelta.encode({ nonce: '', upserts: [], removed: [], loads, snapshotVersion: '' }).finish()
      pieces.push({ rows: loads.length, bytes })
    }
    this.#pieces[bucket] = pieces
    return pieces
  }
}

function chunksOf(pieces: Iterable<Piece>): readonly Uint8Array[] {
  const chunks: Uint8Array[][] = []
  let rows = Number.POSITIVE_INFINITY
  for (const piece of pieces) {
    if (rows + piece.rows > limits.loadsPerMessageMax) {
      chunks.push([])
      rows = 0
    }
    chunks.at(-1)?.push(piece.bytes)
    rows += piece.rows
  }
  return chunks.map(joined)
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
