/** Bytes to text for names that come again and again: the same bytes give the same string object without decoding. Bounded. */
import { copyOf } from '../../core/bytes.ts'

const SLOTS = 256
const KEPT_MAX = 128
const slots: ({ readonly bytes: Uint8Array; readonly text: string } | undefined)[] = new Array(SLOTS).fill(undefined)
const utf8 = new TextDecoder()

/** UTF-8; what is not legal there comes out as replacement characters. */
export function shortText(source: Uint8Array, start: number, end: number): string {
  const length = end - start
  if (length > KEPT_MAX) return utf8.decode(source.subarray(start, end))
  let hash = length
  for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + (source[i] as number)) | 0
  const at = (hash ^ (hash >>> 8)) & (SLOTS - 1)
  const known = slots[at]
  if (known !== undefined && isSame(known.bytes, source, start, length)) return known.text
  const bytes = copyOf(source, start, end)
  const text = utf8.decode(bytes)
  slots[at] = { bytes, text }
  return text
}

function isSame(bytes: Uint8Array, source: Uint8Array, start: number, length: number): boolean {
  if (bytes.length !== length) return false
  for (let i = 0; i < length; i++) if (bytes[i] !== source[start + i]) return false
  return true
}
