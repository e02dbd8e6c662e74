/** The loads of one round, encoded once however many proxies hear of them: a proxy's message is made of the pieces of its buckets. */
import { limits } from '../../core/limits.ts'
import { encodeRows, type LoadRow } from './load-row.ts'
import { BUCKETS, bucketOf } from './load-share.ts'

type Piece = { readonly rows: number; readonly bytes: Uint8Array }

export class LoadBatch {
  readonly size: number
  readonly #buckets: readonly (readonly LoadRow[])[]
  readonly #pieces: (readonly Piece[] | undefined)[] = []
  #all: readonly Uint8Array[] | undefined

  constructor(rows: readonly LoadRow[]) {
    this.size = rows.length
    const buckets: LoadRow[][] = Array.from({ length: BUCKETS }, () => [])
    for (const row of rows) buckets[bucketOf(row.endpointId)]?.push(row)
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
      const some = rows.slice(at, at + limits.loadsPerMessageMax)
      pieces.push({ rows: some.length, bytes: encodeRows(some) })
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
