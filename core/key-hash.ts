/** Hashes of 32 bits that every proxy computes alike, whatever machine it runs on: for agreement and for spreading, not for secrets. */

const FNV_START = 0x811c9dc5
const FNV_FACTOR = 0x01000193

/** FNV-1a, by UTF-16 units. Similar texts have similar results: `mix` them before their bits are used. */
export function hashText(text: string, seed = FNV_START): number {
  let value = seed
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), FNV_FACTOR)
  return value
}

/** The same over bytes. */
export function hashBytes(bytes: Uint8Array, seed = FNV_START): number {
  let value = seed
  for (let i = 0; i < bytes.length; i++) value = Math.imul(value ^ (bytes[i] as number), FNV_FACTOR)
  return value
}

/** The finish of MurmurHash3: FNV alone leaves the high bits of short texts alike. 0..2³²−1. */
export function mix(value: number): number {
  let mixed = value ^ (value >>> 16)
  mixed = Math.imul(mixed, 0x85ebca6b)
  mixed ^= mixed >>> 13
  mixed = Math.imul(mixed, 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
