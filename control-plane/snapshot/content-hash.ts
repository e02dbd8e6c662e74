/** Names bytes by what they are: two control planes that know the same of an endpoint give it the same version. FNV-1a, two lanes of 32 bits. */

export type Hash = { readonly high: number; readonly low: number }

export const EMPTY_HASH: Hash = { high: 0, low: 0 }
const PRIME = 0x01000193
const OFFSET = 0x811c9dc5
const OTHER_OFFSET = 0x9747b28c

export function hashBytes(bytes: Uint8Array): Hash {
  let high = OTHER_OFFSET
  let low = OFFSET
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0
    low = Math.imul(low ^ byte, PRIME)
    // The second lane sees the position too, else both would collide together.
    high = Math.imul(high ^ (byte + (at & 0xff)), PRIME)
  }
  return { high: high >>> 0, low: low >>> 0 }
}

/** Of a set: adding a member and taking it away again are the same operation, and order does not matter. */
export const toggle = (set: Hash, member: Hash): Hash => ({ high: (set.high ^ member.high) >>> 0, low: (set.low ^ member.low) >>> 0 })

export const hashText = ({ high, low }: Hash): string => high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0')
