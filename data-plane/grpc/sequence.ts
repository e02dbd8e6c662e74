/**
 * Finds in a request's parameters whether it belongs to a sequence: requests that one server must see all, in order.
 * Triton names a sequence by a number or by a text; 0 and the empty text are none.
 */

export type Sequence = {
  readonly id: string
  /** The first request of its sequence: no server knows anything of it yet. */
  readonly starts: boolean
  /** The last one. */
  readonly ends: boolean
}

export const SEQUENCE_KEYS = ['sequence_id', 'sequence_start', 'sequence_end'] as const
export type SequenceKey = (typeof SEQUENCE_KEYS)[number]
export type Parameter<Key extends string> = { readonly key: Key; readonly value: string }

const LETTER_S = 0x73
const KEY_TAG = 0x0a
const VALUE_TAG = 0x12

export function readSequenceParameter(source: Uint8Array, start: number, end: number): Parameter<SequenceKey> | undefined {
  // The usual entry is about something else, and is known by its first letters.
  if (source[start] === KEY_TAG && source[start + 2] !== LETTER_S) return undefined
  return readParameter(source, start, end, SEQUENCE_KEYS)
}

/** One entry of the map `parameters`; undefined when it is about something else, or is not legal protobuf, which is the server's to say. */
export function readParameter<Key extends string>(
  source: Uint8Array,
  start: number,
  end: number,
  keys: readonly Key[],
): Parameter<Key> | undefined {
  let key: Key | undefined
  let value: string | undefined
  for (let at = start; at < end; ) {
    const tag = source[at++]
    const length = source[at++]
    // A key or value of ours is short: one byte tells its length, or two when the text is long.
    if (length === undefined) return undefined
    let size = length
    if (length >= 0x80) size = (length & 0x7f) + (source[at++] ?? 0) * 0x80
    if (at + size > end) return undefined
    if (tag === KEY_TAG) key = keyAt(source, at, at + size, keys)
    else if (tag === VALUE_TAG) value = valueAt(source, at, at + size)
    else return undefined
    at += size
  }
  return key === undefined || value === undefined ? undefined : { key, value }
}

function keyAt<Key extends string>(source: Uint8Array, start: number, end: number, keys: readonly Key[]): Key | undefined {
  return keys.find((key) => {
    if (key.length !== end - start) return false
    for (let i = 0; i < key.length; i++) if (key.charCodeAt(i) !== source[start + i]) return false
    return true
  })
}

/** InferParameter: the last of its fields wins. Numbers and truth values come out as decimal digits. */
function valueAt(source: Uint8Array, start: number, end: number): string | undefined {
  let value: string | undefined
  for (let at = start; at < end; ) {
    const tag = source[at++] as number
    if (tag !== 0x1a && (tag & 7) !== 0) return undefined
    let number = 0n
    let shift = 0n
    for (let byte = 0x80; byte >= 0x80; shift += 7n) {
      byte = source[at++] ?? -1
      if (byte < 0 || at > end || shift > 63n) return undefined
      number |= BigInt(byte & 0x7f) << shift
    }
    if (tag !== 0x1a) {
      value = (tag === 0x10 ? BigInt.asIntN(64, number) : BigInt.asUintN(64, number)).toString()
      continue
    }
    const length = Number(number)
    if (at + length > end) return undefined
    value = utf8.decode(source.subarray(at, at + length))
    at += length
  }
  return value
}

const utf8 = new TextDecoder()
