/** A load as proxies are told it, and its bytes. All but the age is encoded once for as long as it is what proxies were told last. */
import { LoadUpdate } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import type { EndpointLoad } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

export type LoadRow = {
  readonly endpointId: string
  /** Undefined: not known. */
  readonly load: EndpointLoad | undefined
  /** It never holds beyond its age. */
  readonly ages: boolean
  readonly ageMs: number
  /** A LoadUpdate without its age. */
  readonly bytes: Uint8Array
}

/** `loads` of EndpointsDelta: field 4, length-delimited; `age_ms` of LoadUpdate: field 3, a varint. */
const ROW_TAG = 0x22
const AGE_TAG = 0x18

export const loadRow = (endpointId: string, load: EndpointLoad | undefined, ageMs = 0, ages = false): LoadRow => ({
  endpointId,
  load,
  ages,
  ageMs,
  // An age of nothing is not written.
  bytes: LoadUpdate.encode({ endpointId, load, ageMs: 0, ages }).finish(),
})

/** Field `loads` of EndpointsDelta, with all rows. */
export function encodeRows(rows: readonly LoadRow[]): Uint8Array {
  const bytes = new Uint8Array(rows.reduce((sum, row) => sum + sizeOf(row), 0))
  let at = 0
  for (const row of rows) {
    bytes[at++] = ROW_TAG
    at = writeVarint(bytes, at, bodySize(row))
    bytes.set(row.bytes, at)
    at += row.bytes.length
    if (row.ageMs === 0) continue
    bytes[at++] = AGE_TAG
    at = writeVarint(bytes, at, row.ageMs)
  }
  return bytes
}

const bodySize = ({ bytes, ageMs }: LoadRow): number => bytes.length + (ageMs === 0 ? 0 : 1 + varintSize(ageMs))

function sizeOf(row: LoadRow): number {
  const body = bodySize(row)
  return 1 + varintSize(body) + body
}

function varintSize(value: number): number {
  let size = 1
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) size++
  return size
}

export function writeVarint(bytes: Uint8Array, from: number, value: number): number {
  let at = from
  let rest = value
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes[at++] = (rest & 0x7f) | 0x80
  bytes[at++] = rest
  return at
}
